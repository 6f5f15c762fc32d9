"""The numbers that the steps of a run gave: metrics, and those of fits and trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rmplug.artifacts import Metrics
from rmplug.errors import StoreError
from rmplug.records import RunRecord
from rmplug.stats.numbers import Number, named_numbers

from .serialize import NUMBERS, read_artifact
from .store import Store

Row = Mapping[str, Any]


def numbers_of(store: Store, record: RunRecord) -> dict[str, Number]:
    """Return every number of a run by its name: ``step / model / metric / subset``."""
    return {
        name: number
        for step, rows in metric_rows(store, record)
        for name, number in named_numbers(step, rows).items()
    }


def metric_rows(store: Store, record: RunRecord) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of ``Metrics`` of each step, or of each result of a loop, that has any."""
    for step in record.steps.values():
        results = {f"{step.id}.{name}": key for name, key in step.results.items()}
        for name, key in (results or {step.id: step.artifact}).items():
            rows = _rows_of(store, key)
            if rows:
                yield name, rows


def _rows_of(store: Store, key: str) -> list[Row]:
    folder = store.find(key) if key else None
    if folder is None:
        return []
    try:
        manifest = store.manifest(key)
    except StoreError:
        return []  # of a newer version, or damaged: its numbers cannot be told
    if manifest["type"] == Metrics.__name__:
        artifact = read_artifact(folder, manifest, key, None)
        assert isinstance(artifact, Metrics)
        rows: list[Row] = artifact.table.to_pylist()
        return rows
    path = folder / NUMBERS
    listed: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return listed
