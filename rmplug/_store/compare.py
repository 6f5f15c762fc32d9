"""Two runs side by side: what differs in their specs, their results and their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rmplug.artifacts import Metrics
from rmplug.errors import StoreError
from rmplug.records import RunRecord, StepRecord

from .serialize import NUMBERS, read_artifact
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
    before, after = _numbers(store, first), _numbers(store, second)
    for path in {**before, **after}:
        old, new = _shown(before.get(path)), _shown(after.get(path))
        if old != new:
            yield _row("numbers", path, old, new)


def _numbers(store: Store, record: RunRecord) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for step in record.steps.values():
        results = {f"{step.id}.{name}": key for name, key in step.results.items()}
        for name, key in (results or {step.id: step.artifact}).items():
            for row in _rows_of(store, key):
                labels = [row.get(label) for label in ("item", "round", "model")]
                words = [name, *labels, row["metric"], row.get("subset", "all")]
                found[" / ".join(str(word) for word in words if word is not None)] = row
    return found


def _rows_of(store: Store, key: str) -> list[Row]:
    folder = store.find(key) if key else None
    if folder is None:
        return []
    try:
        manifest = store.manifest(key)
    except StoreError:
        return []  # of a newer version, or damaged: its numbers cannot be told
    if manifest["type"] == "Metrics":
        artifact = read_artifact(folder, manifest, key, None)
        assert isinstance(artifact, Metrics)
        rows: list[Row] = artifact.table.to_pylist()
        return rows
    path = folder / NUMBERS
    listed: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return listed


def _shown(row: Row | None) -> str:
    if row is None or row.get("value") is None:
        return "–"
    low, high = row.get("low"), row.get("high")
    interval = f" ({low:.4g}–{high:.4g})" if low is not None and high is not None else ""
    return f"{row['value']:.4g}{interval}"


def _row(where: str, what: str, first: Any, second: Any) -> Row:
    return {"where": where, "what": what, "first": str(first), "second": str(second)}
