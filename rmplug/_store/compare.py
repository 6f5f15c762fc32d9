"""Two runs side by side: what differs in their specs, their results and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rmplug.artifacts import Metrics
from rmplug.records import RunRecord, StepRecord
from rmplug.stats.intervals import difference_interval
from rmplug.stats.numbers import Number, number_name

from .run_numbers import metric_rows, numbers_of
from .store import Store

Row = dict[str, Any]


def compare_runs(store: Store, first: RunRecord, second: RunRecord) -> list[Row]:
    """Rows of ``where, what, first, second`` for everything that differs, numbers last."""
    return [
        *_spec_rows(first, second),
        *_step_rows(first, second),
        *_number_rows(store, first, second),
    ]


def comparison(store: Store, first: RunRecord, second: RunRecord) -> Metrics:
    """Return the same as metrics, for a report: rows whose column ``where`` says what they compare
    (``run``, ``spec``, ``steps``, ``result`` or ``numbers``), ``what`` its name, ``first`` and
    ``second`` the texts of both. ``value`` is the second number minus the first.

    Two runs are measured apart from each other, so that the interval of a difference takes them for
    independent: on the same rows it is wider than that of a paired test."""
    import pyarrow as pa

    rows = [*_run_rows(first, second), *_spec_rows(first, second), *_step_rows(first, second)]
    listed = [{**row, "metric": "difference", "subset": "all"} for row in rows]
    listed += list(_difference_rows(store, first, second))
    texts = ("where", "what", "first", "second", "metric", "subset")
    columns = {name: pa.array([row.get(name) for row in listed], pa.string()) for name in texts}
    numbers = [f"{run}_{name}" for run in ("first", "second") for name in ("value", "low", "high")]
    for name in ("value", "low", "high", *numbers):
        columns[name] = pa.array([row.get(name) for row in listed], pa.float64())
    columns["n"] = pa.array([row.get("n") for row in listed], pa.int64())
    return Metrics(columns, "runs")


def _run_rows(first: RunRecord, second: RunRecord) -> Iterator[Row]:
    for what in ("id", "name", "started", "status", "seed"):
        yield _row("run", what, getattr(first, what), getattr(second, what))


def _difference_rows(store: Store, first: RunRecord, second: RunRecord) -> Iterator[Row]:
    """Yield a row for each number that a run has and that is not the same in both."""
    before, after = _measured(store, first), _measured(store, second)
    for path in {**before, **after}:
        old, new = (Number.of(found.get(path, {})) for found in (before, after))
        if old.brief == new.brief:
            continue
        known = after.get(path) or before[path]
        row = _row("numbers", path, old.brief, new.brief)
        row |= {"metric": str(known["metric"]), "subset": str(known.get("subset", "all"))}
        for run, one in (("first", old), ("second", new)):
            row |= {f"{run}_value": one.value, f"{run}_low": one.low, f"{run}_high": one.high}
        if old.value is not None and new.value is not None:
            row |= {"value": new.value - old.value, "n": new.n}
            row["low"], row["high"] = difference_interval(
                new.value, (new.low, new.high), old.value, (old.low, old.high)
            )
        yield row


def _measured(store: Store, record: RunRecord) -> dict[str, Mapping[str, Any]]:
    """Return the row of each number of a run by its name."""
    return {
        number_name(step, row): row
        for step, rows in metric_rows(store, record)
        for row in rows
        if "metric" in row
    }


def _spec_rows(first: RunRecord, second: RunRecord) -> Iterator[Row]:
    for path, values in spec_differences((first, second)):
        yield _row("spec", path, *values)


def spec_differences(records: Sequence[RunRecord]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each path of the specs that is not the same in all runs, with its value in each; a dash
    where a spec does not have it."""
    specs = [dict(_flat(record.spec)) for record in records]
    for path in {path: None for spec in specs for path in spec}:
        if any(spec.get(path) != specs[0].get(path) for spec in specs[1:]):
            yield path, [spec.get(path, "–") for spec in specs]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _step_rows(first: RunRecord, second: RunRecord) -> Iterator[Row]:
    for name in {**first.steps, **second.steps}:
        before, after = first.steps.get(name), second.steps.get(name)
        if before is None or after is None:
            yield _row("steps", name, _status(before), _status(after))
        elif before.artifact != after.artifact:
            yield _row("result", name, before.artifact, after.artifact)


def _status(step: StepRecord | None) -> str:
    return step.status if step else "–"


def _number_rows(store: Store, first: RunRecord, second: RunRecord) -> Iterator[Row]:
    before, after = numbers_of(store, first), numbers_of(store, second)
    for path in {**before, **after}:
        old, new = (found.get(path, Number(None)).brief for found in (before, after))
        if old != new:
            yield _row("numbers", path, old, new)


def _row(where: str, what: str, first: Any, second: Any) -> Row:
    return {"where": where, "what": what, "first": str(first), "second": str(second)}
