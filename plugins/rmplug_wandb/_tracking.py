"""One run of Weights & Biases, and the mapping of a run of rmplug to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rmplug import Artifact, Checkpoint, Fit, Metrics, Report, RmplugError
from rmplug.records import Usage

from ._names import MOST_OF_RUN, cell, distinct, name_part, step_part

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.records import RunRecord, StepRecord

NUMBERS = ("value", "low", "high", "n")
LOGGED_TABLES = ("importance", "coefficients")
MOST_ROWS = 10_000
MEASURED = tuple(entry.name for entry in fields(Usage) if entry.type in ("int", "float"))
STEP_COLUMNS = ("step", "kind", "status", "seconds", "rows", "rows_per_second", *MEASURED)
QUIET = {
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "init_timeout": 60,
    "finish_timeout": 600,
}
"""The run's record says what the machine is; standard output is the person's own; a network that is
gone holds a run up for minutes at most, and what was not sent stays on disk."""


@dataclass(frozen=True)
class Destination:
    """The project, name and mode under which a run is logged."""

    project: str
    entity: str | None
    name: str
    tags: tuple[str, ...]
    mode: Literal["offline", "online", "disabled"]
    directory: Path


def start(destination: Destination, run: RunRecord, *, tables: bool, report: bool) -> Tracker:
    """Begin a run of Weights & Biases."""
    with _without_error_reports(destination.mode):
        import wandb

        if destination.mode == "online" and not wandb.login(prompt=False):
            raise RmplugError(
                "mode: online needs an account of Weights & Biases; run wandb login once, or write "
                "mode: offline"
            )
        destination.directory.mkdir(parents=True, exist_ok=True)
        opened = wandb.init(
            entity=destination.entity,
            project=destination.project,
            name=name_part(destination.name, MOST_OF_RUN),
            tags=list(destination.tags),
            mode=destination.mode,
            dir=str(destination.directory.absolute()),
            config=read_config(run),
            reinit="create_new",
            settings=wandb.Settings(**QUIET),
        )
    return Tracker(opened, tables, report)


@contextmanager
def _without_error_reports(mode: str) -> Iterator[None]:
    """Keep the library's service from sending its own errors and counts, which it does in offline
    runs too unless the environment says no when it starts."""
    name = "WANDB_ERROR_REPORTING"
    before = os.environ.get(name)
    if mode != "online":
        os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def read_config(run: RunRecord) -> dict[str, Any]:
    """Read the settings of a run: the spec, the seed, the versions."""
    return {"spec": run.spec, "seed": run.seed, "run": run.id, "environment": run.environment}


class Tracker:
    """A logger to one open run of Weights & Biases."""

    def __init__(self, opened: Any, tables: bool, report: bool) -> None:
        self.run = opened
        self.tables = tables
        self.report = report
        self.versions: dict[str, str] = {}
        self.clocks: set[str] = set()

    def progress(self, step: str, done: int, numbers: Mapping[str, float]) -> None:
        """Log numbers of a step at work as curves over ``<step>/done``."""
        start = step_part(step)
        clock = f"{start}/done"
        if step not in self.clocks:
            self.clocks.add(step)
            self.run.define_metric(f"{start}/*", step_metric=clock)
        names = distinct([clock, *(f"{start}/{name_part(name)}" for name in numbers)])
        self._log(dict(zip(names, [done, *numbers.values()], strict=True)))

    def step(self, step: StepRecord) -> None:
        """Log seconds, rows and speed of a step."""
        facts = {
            "seconds": step.seconds,
            "rows": step.rows,
            "rows_per_second": step.rows_per_second,
            "noticed": sum(notice["count"] for notice in step.notices) or None,
        }
        start = f"steps/{step_part(step.id)}"
        self._log({f"{start}/{name}": fact for name, fact in facts.items() if fact is not None})
        self.versions[step.kind] = step.version
        self.run.config.update({"versions": self.versions}, allow_val_change=True)

    def result(self, result: Artifact) -> None:
        """Log the numbers of a result, its tables, or its page."""
        if isinstance(result, Metrics):
            self._numbers(result.name, result.table.to_pylist())
        elif isinstance(result, Fit | Checkpoint):
            self._numbers(result.name, result.numbers)
        if isinstance(result, Fit):
            for name in LOGGED_TABLES:
                if name in result.tables:
                    self._table(f"{step_part(result.name)}/{name}", result.tables[name])
        elif isinstance(result, Report) and self.report:
            self._report(result)

    def finish(self, run: RunRecord) -> None:
        """Log the outcome of the run, and write everything."""
        steps = [{**vars(step), "step": name} for name, step in run.steps.items()]
        if self.tables:
            data = [[step[column] for column in STEP_COLUMNS] for step in steps]
            self._log({"steps": _make_table(STEP_COLUMNS, data)})
        self.run.summary.update(
            {
                "status": run.status,
                "seconds": run.seconds,
                "problems": cell("; ".join(run.problems)),
            }
        )
        self.run.finish(exit_code=0 if run.status == "finished" else 1)

    def _log(self, values: Mapping[str, Any]) -> None:
        if values:
            self.run.log(dict(values))

    def _numbers(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        known = [row for row in rows if row.get("value") is not None]
        names = distinct(name_number(name, row) for row in known)
        self._log(dict(zip(names, (row["value"] for row in known), strict=True)))
        if self.tables and rows:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            data = [[row.get(column) for column in columns] for row in rows]
            self._log({step_part(name): _make_table(columns, data)})

    def _table(self, name: str, table: pa.Table) -> None:
        if self.tables and table.num_rows:
            columns = table.slice(0, MOST_ROWS).to_pydict()
            data = [list(row) for row in zip(*columns.values(), strict=True)]
            self._log({name: _make_table(list(columns), data)})
            if left_out := table.num_rows - len(data):
                self._log({f"{name}/rows-left-out": left_out})

    def _report(self, report: Report) -> None:
        """Save a report's files with the run, and log its page if it has one."""
        import wandb

        name = step_part(report.name)
        folder = Path(self.run.dir) / "reports" / name
        shutil.copytree(report.directory, folder, dirs_exist_ok=True)
        self.run.save(str(folder / "**"), base_path=self.run.dir, policy="now")
        if report.entry.endswith(".html"):
            page = (folder / report.entry).read_text(encoding="utf-8")
            self._log({name: wandb.Html(page, inject=False)})


def name_number(name: str, row: Mapping[str, Any]) -> str:
    """Name a number: ``accuracy/reward/harmless/ece``. Further values that identify its row, such
    as the item of a loop, precede the subset; the position of a point on a curve (``at``) is at the
    end; ``all`` and what is missing are left out."""
    others = {"metric", "subset", "kind", "axis", "sentence", "rule", "level", *NUMBERS}
    parts = [str(value) for column, value in row.items() if column not in others and _names(value)]
    subset = [str(row["subset"])] if row.get("subset") not in (None, "", "all") else []
    at = [] if row.get("at") is None else [f"{row['at']:g}"]
    named = map(name_part, [*parts, *subset, str(row["metric"]), *at])
    return "/".join([step_part(name), *named])


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _make_table(columns: Sequence[str], data: list[list[Any]]) -> Any:
    import wandb

    return wandb.Table(
        columns=distinct(map(name_part, columns)),
        data=[list(map(cell, row)) for row in data],
        allow_mixed_types=True,
    )
