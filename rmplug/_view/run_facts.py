"""What the page of one run shows, read from its record and the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rmplug._store.reports import pages_of, told_by
from rmplug._store.run_numbers import metric_rows
from rmplug._store.run_records import read_run
from rmplug._store.serialize import FILES
from rmplug._store.store import Store
from rmplug.errors import StoreError, printable
from rmplug.notices import Notice
from rmplug.records import RunRecord, StepRecord
from rmplug.stats.numbers import Number, labels_of, point_of

from .plan_drawing import SIGNS, Drawing, draw_plan
from .stored_results import StoredTable, tables_of, without_strange_results

MOST_NUMBERS = 300
"""Numbers of a step on the page of a run; all of them are in its table, or in ``rmplug show``."""
LONGEST_SPEC = 200_000
"""Characters of a spec that are shown."""


@dataclass(frozen=True)
class StepLine:
    """A step of the run, as a row of a table."""

    id: str
    kind: str
    status: str
    sign: str
    rows: int | None
    seconds: float
    rate: float | None
    peak_memory_mb: float
    odd: int
    message: str


@dataclass(frozen=True)
class NumberLine:
    """A number with its interval, as texts and for sorting."""

    metric: str
    of: str
    subset: str
    number: Number


@dataclass(frozen=True)
class NumberTable:
    """The numbers of one step: the first of them, and how many there are."""

    step: str
    lines: Sequence[NumberLine]
    count: int


@dataclass(frozen=True)
class ReportPage:
    """A report of the run: the step that wrote it, and its first file."""

    step: str
    entry: str


@dataclass(frozen=True)
class RunFacts:
    """Everything on the page of a run."""

    record: RunRecord
    status: str
    sign: str
    headline: str
    findings: Sequence[tuple[str, str]]
    drawing: Drawing | None
    steps: Sequence[StepLine]
    notices: Sequence[tuple[str, str]]
    numbers: Sequence[NumberTable]
    reports: Sequence[ReportPage]
    tables: Sequence[StoredTable]
    spec: str


def read_safely(store: Store, run: str) -> RunRecord:
    """Read the record of a run by its id, without the results that must not be looked at."""
    return without_strange_results(store, read_run(store, run))


def facts_of(store: Store, record: RunRecord) -> RunFacts:
    """Gather what there is to show of a run; a part that cannot be read is left out, and its
    notice says so."""
    problems: list[tuple[str, str]] = []
    reports = dict(_reports(store, record, problems))
    words = told_by(reports.values())
    odd = {step.id: sum(notice.count for notice in _read_notices(step)) for step in _steps(record)}
    return RunFacts(
        record=record,
        status=_status(record),
        sign={"finished": "✓", "running": "▶"}.get(_status(record), "✗"),
        headline=words.headline,
        findings=words.findings,
        drawing=draw_plan(record, odd),
        steps=[_step_line(step, odd[step.id]) for step in _steps(record)],
        notices=[*_noticed(record), *problems],
        numbers=list(_numbers(store, record, problems)),
        reports=[ReportPage(step, page.name) for step, page in reports.items()],
        tables=list(tables_of(store, record)),
        spec=_spec_text(record.spec),
    )


def _steps(record: RunRecord) -> Iterator[StepRecord]:
    return iter(record.steps.values())


def _status(record: RunRecord | StepRecord) -> str:
    """Return the status, even in a word that only a newer version knows."""
    return str(record.unknown.get("status", record.status))


def _step_line(step: StepRecord, odd: int) -> StepLine:
    status = _status(step)
    return StepLine(
        step.id, step.kind, status, SIGNS.get(status, "?"), step.rows, step.seconds,
        step.rows_per_second, step.peak_memory_mb, odd, step.message or step.reason,
    )  # fmt: skip


def _read_notices(step: StepRecord) -> list[Notice]:
    """Return the notices of a step; those of a damaged record are told apart."""
    read = []
    for entry in step.notices:
        try:
            read.append(Notice(**entry))
        except (TypeError, ValueError):
            continue
    return [notice for notice in read if isinstance(notice.count, int)]


def _noticed(record: RunRecord) -> Iterator[tuple[str, str]]:
    for step in _steps(record):
        read = _read_notices(step)
        for notice in read:
            ids = ", ".join(map(str, notice.ids[:3])) + (" …" if notice.count > 3 else "")
            yield step.id, f"{notice.count:,} × {notice.what}, {notice.action} ({ids})"
        if len(read) < len(step.notices):
            yield step.id, f"{len(step.notices) - len(read)} notices that cannot be read"
        if step.message:
            yield step.id, step.message
    for name, reason in record.not_run.items():
        yield name, f"not run: {reason}"
    yield from (("", problem) for problem in record.problems)


def _reports(
    store: Store, record: RunRecord, problems: list[tuple[str, str]]
) -> Iterator[tuple[str, Any]]:
    for step in _steps(record):
        if step.family == "reporter" and step.artifact:
            try:
                pages = pages_of(store, [step.artifact])
            except StoreError as error:
                problems.append((step.id, str(error)))
                continue
            # a page in a folder of its own would be asked for by a name with a slash
            beside = [page for page in pages if page.parent.name == FILES]
            yield from ((step.id, page) for page in beside)


def _numbers(
    store: Store, record: RunRecord, problems: list[tuple[str, str]]
) -> Iterator[NumberTable]:
    try:
        for step, rows in metric_rows(store, record):
            named = [row for row in rows if isinstance(row, Mapping) and "metric" in row]
            yield NumberTable(step, [_line(row) for row in named[:MOST_NUMBERS]], len(named))
    except (StoreError, OSError, ValueError, KeyError) as error:
        problems.append(("", f"numbers that cannot be read: {error}"))


def _line(row: Mapping[str, Any]) -> NumberLine:
    labels = [text for text in (*labels_of(row), point_of(row)) if text]
    return NumberLine(
        str(row["metric"]), ", ".join(labels), str(row.get("subset", "all")), Number.of(row)
    )


def _spec_text(spec: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=100)
    cut = f"\n# cut here: {LONGEST_SPEC:,} of {len(text):,} characters"
    return printable(text[:LONGEST_SPEC]) + (cut if len(text) > LONGEST_SPEC else "")
