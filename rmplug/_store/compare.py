"""Two runs side by side: what differs in their specs, their results and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rmplug.records import RunRecord, StepRecord
from rmplug.stats.numbers import Number

from .run_numbers import numbers_of
from .store import Store

Row = dict[str, Any]


def compare_runs(store: Store, first: RunRecord, second: RunRecord) -> list[Row]:
    """Rows of ``where, what, first, second`` for everything that differs, numbers last."""
    return [
        *_spec_rows(first, second),
        *_step_rows(first, second),
        *_number_rows(store, first, second),
    ]


def _spec_rows(first: RunRecord, second: RunRecord) -> Iterator[Row]:
    before, after = dict(_flat(first.spec)), dict(_flat(second.spec))
    for path in {**before, **after}:
        if before.get(path) != after.get(path):
            yield _row("spec", path, before.get(path, "–"), after.get(path, "–"))


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
