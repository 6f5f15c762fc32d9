"""One run of Weights & Biases, and what of a run of rmplug goes where in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug import Artifact, Checkpoint, Fit, Metrics, Report, RmplugError

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.records import RunRecord, StepRecord

    from . import Wandb

NUMBERS = ("value", "low", "high", "n")
TOLD = ("importance", "coefficients")
MOST_ROWS = 10_000
STEP_COLUMNS = ("step", "kind", "status", "seconds", "rows", "rows_per_second", "peak_memory_mb")
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


def start(observer: Wandb, run: RunRecord) -> Tracker:
    """A run of Weights & Biases that has begun."""
    with _nothing_sent(observer.mode):
        import wandb

        if observer.mode == "online" and not wandb.login(prompt=False):
            raise RmplugError(
                "mode: online needs an account of Weights & Biases; run wandb login once, or write "
                "mode: offline"
            )
        observer.directory.mkdir(parents=True, exist_ok=True)
        opened = wandb.init(
            entity=observer.entity,
            project=observer.project,
            name=observer.name or run.name,
            tags=list(observer.tags),
            mode=observer.mode,
            dir=str(observer.directory.absolute()),
            config=config_of(run),
            reinit="create_new",
            settings=wandb.Settings(**QUIET),
        )
    return Tracker(opened, observer.tables, observer.report)


@contextmanager
def _nothing_sent(mode: str) -> Iterator[None]:
    """The library's service reports its own errors and counts, offline runs included, unless it is
    told not to when it starts."""
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


def config_of(run: RunRecord) -> dict[str, Any]:
    """What determines a run: the spec, the seed, the versions."""
    return {"spec": run.spec, "seed": run.seed, "run": run.id, "environment": run.environment}


class Tracker:
    """Logs to one open run of Weights & Biases."""

    def __init__(self, opened: Any, tables: bool, report: bool) -> None:
        self.run = opened
        self.tables = tables
        self.report = report
        self.versions: dict[str, str] = {}

    def step(self, step: StepRecord) -> None:
        """Seconds, rows and speed of a step."""
        facts = {
            "seconds": step.seconds,
            "rows": step.rows,
            "rows_per_second": step.rows_per_second,
            "noticed": sum(notice["count"] for notice in step.notices) or None,
        }
        self._log({f"steps/{step.id}/{k}": v for k, v in facts.items() if v is not None})
        self.versions[step.kind] = step.version
        self.run.config.update({"versions": self.versions}, allow_val_change=True)

    def result(self, result: Artifact) -> None:
        """The numbers of a result, its tables, or its page."""
        if isinstance(result, Metrics):
            self._numbers(result.name, result.table.to_pylist())
        elif isinstance(result, Fit | Checkpoint):
            self._numbers(result.name, result.numbers)
        if isinstance(result, Fit):
            for name in TOLD:
                if name in result.tables:
                    self._table(f"{result.name}/{name}", result.tables[name])
        elif isinstance(result, Report) and self.report:
            self._report(result)

    def finish(self, run: RunRecord) -> None:
        """How the run went; then everything is written."""
        steps = [{**vars(step), "step": name} for name, step in run.steps.items()]
        if self.tables:
            data = [[step[column] for column in STEP_COLUMNS] for step in steps]
            self._log({"steps": _table_of(STEP_COLUMNS, data)})
        self.run.summary.update(
            {"status": run.status, "seconds": run.seconds, "problems": "; ".join(run.problems)}
        )
        self.run.finish(exit_code=0 if run.status == "finished" else 1)

    def _log(self, values: Mapping[str, Any]) -> None:
        if values:
            self.run.log(dict(values))

    def _numbers(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._log({key_of(name, row): row["value"] for row in rows if row.get("value") is not None})
        if self.tables and rows:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            self._log({name: _table_of(columns, [[row.get(c) for c in columns] for row in rows])})

    def _table(self, name: str, table: pa.Table) -> None:
        if self.tables and table.num_rows:
            columns = table.slice(0, MOST_ROWS).to_pydict()
            data = [list(row) for row in zip(*columns.values(), strict=True)]
            self._log({name: _table_of(list(columns), data)})

    def _report(self, report: Report) -> None:
        """Its files among the run's files; its page, if it is one, where it can be looked at."""
        import wandb

        place = Path(self.run.dir) / "reports" / report.name
        shutil.copytree(report.directory, place, dirs_exist_ok=True)
        self.run.save(str(place / "**"), base_path=self.run.dir, policy="now")
        if report.entry.endswith(".html"):
            page = (place / report.entry).read_text(encoding="utf-8")
            self._log({report.name: wandb.Html(page, inject=False)})


def key_of(name: str, row: Mapping[str, Any]) -> str:
    """The name of a number: ``accuracy/reward/harmless/ece``. What else tells its row apart, such
    as the item of a loop, comes before the subset, the place of a point on a curve (``at``) at the
    end; ``all`` and what is missing are left out."""
    others = {"metric", "subset", "kind", "axis", "sentence", "rule", "level", *NUMBERS}
    told = [str(value) for column, value in row.items() if column not in others and _names(value)]
    subset = [str(row["subset"])] if row.get("subset") not in (None, "", "all") else []
    at = [] if row.get("at") is None else [f"{row['at']:g}"]
    return "/".join([name, *told, *subset, str(row["metric"]), *at])


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _table_of(columns: Sequence[str], data: list[list[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)
