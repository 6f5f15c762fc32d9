"""Labels of several annotators, as a matrix of items and annotators."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Pairs, Responses
from rmplug.data.odd_rows import hash_conversations
from rmplug.data.seen_texts import combine_hashes
from rmplug.errors import some

if TYPE_CHECKING:
    from .annotators import LabelColumns

Ints = npt.NDArray[np.int64]
MOST_LABELS = 1000
MOST_CELLS = 100_000_000
"""Items times annotators times labels, each a number of 8 bytes in memory."""


@dataclass(frozen=True)
class Labels:
    """Labels as places in ``names``: ``codes`` of shape (items, annotators), -1 for none."""

    codes: Ints
    names: tuple[Any, ...]
    annotators: tuple[str, ...]
    items: Ints
    """The item of each row of the data."""
    firsts: Ints
    """The first row of each item."""

    @property
    def numeric(self) -> bool:
        return all(isinstance(name, int | float) for name in self.names)

    def counts(self) -> npt.NDArray[np.float64]:
        """Count each label of each item: shape (items, labels)."""
        counted = [(self.codes == code).sum(axis=1) for code in range(len(self.names))]
        return np.stack(counted, axis=1).astype(np.float64) if counted else np.zeros((0, 0))


def read_labels(data: Pairs | Responses, step: LabelColumns) -> Labels:
    """Read the labels of all rows; ``DataError`` where there are none."""
    if step.annotator is not None:
        return _long(data, step)
    columns = [_values(data, name) for name in step.labels]
    if len(columns) == 1:
        lists = [_entries(value, step.entry) for value in columns[0]]
        width = max(map(len, lists), default=0)
        rows = [one + [None] * (width - len(one)) for one in lists]
        annotators = tuple(f"annotator {place + 1}" for place in range(width))
    else:
        rows = [list(row) for row in zip(*columns, strict=True)]
        annotators = step.labels
    numbers = np.arange(len(rows))
    return _coded(rows, annotators, numbers, numbers)


def _long(data: Pairs | Responses, step: LabelColumns) -> Labels:
    """Read labels that have a row each; of several by one annotator about an item, the first."""
    assert step.annotator is not None
    keys = _items(data) if step.item is None else pa.array(_texts(_values(data, step.item)))
    coded = pc.dictionary_encode(keys)
    items = np.asarray(coded.indices).astype(np.int64)
    firsts = np.unique(items, return_index=True)[1]
    who = _texts(_values(data, step.annotator))
    annotators = sorted({name for name in who if name is not None})
    place = {name: number for number, name in enumerate(annotators)}
    _check_size(len(firsts), len(annotators), 2)
    rows: list[list[Any]] = [[None] * len(annotators) for _ in range(len(firsts))]
    for item, name, label in zip(items.tolist(), who, _values(data, step.labels[0]), strict=True):
        if name is not None and rows[item][place[name]] is None:
            rows[item][place[name]] = label
    return _coded(rows, tuple(annotators), items, firsts)


def _items(data: Pairs | Responses) -> pa.Array:
    """Return a number for each row that rows with the same texts share."""
    parts = []
    for batch in data.batches():
        prompt = hash_conversations(batch.column("prompt"))
        if "chosen" in batch.schema.names:
            sides = [hash_conversations(batch.column(name)) for name in ("chosen", "rejected")]
            parts.append(combine_hashes(prompt, np.minimum(*sides), np.maximum(*sides)))
        else:
            parts.append(combine_hashes(prompt, hash_conversations(batch.column("response"))))
    return pa.array(np.concatenate([np.empty(0, np.uint64), *parts]))


def _values(data: Pairs | Responses, name: str) -> list[Any]:
    if name not in data.columns:
        raise DataError(f"there is no column {name!r}; there are {some(data.columns, 20)}")
    return data.column(name).to_pylist()  # type: ignore[no-any-return]


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def _entries(value: Any, entry: str | None) -> list[Any]:
    """Return the labels in one value: those of a list, or of a list written as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    if not isinstance(value, list):
        value = [value]
    if entry is None:
        return list(value)
    return [one.get(entry) if isinstance(one, dict) else None for one in value]


def _coded(
    rows: Sequence[Sequence[Any]], annotators: tuple[str, ...], items: Ints, firsts: Ints
) -> Labels:
    names = _names({_plain(value) for row in rows for value in row} - {None})
    if not names or not annotators:
        raise DataError("there is no label in the columns that labels names")
    if len(names) > MOST_LABELS:
        raise DataError(
            f"there are {len(names):,} different labels; labels are a choice of at most "
            f"{MOST_LABELS:,}"
        )
    _check_size(len(rows), len(annotators), len(names))
    place: dict[Any, int] = {None: -1} | {name: number for number, name in enumerate(names)}
    as_texts = isinstance(names[0], str)
    codes = [[place[_as(_plain(value), as_texts)] for value in row] for row in rows]
    return Labels(
        np.array(codes, np.int64).reshape(len(rows), len(annotators)),
        names,
        annotators,
        items,
        firsts,
    )


def _check_size(items: int, annotators: int, labels: int) -> None:
    """Refuse labels whose table does not fit into memory: every annotator has a place in it for
    every item."""
    if items * annotators * labels > MOST_CELLS:
        raise DataError(
            f"{annotators:,} annotators of {items:,} items are too many for one table; filter to a "
            "part of the rows, or to the annotators with most labels"
        )


def _names(found: set[Any]) -> tuple[Any, ...]:
    """Return the different labels in their order: numbers as such, else all as texts."""
    if all(isinstance(name, int | float) for name in found):
        return tuple(sorted(found))
    return tuple(sorted({str(name) for name in found}))


def _as(value: Any, text: bool) -> Any:
    return str(value) if text and value is not None else value


def _plain(value: Any) -> Any:
    """Return a label as a number or a text; None for nothing."""
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, int | float | str) else json.dumps(value, sort_keys=True)


def columns_of(names: Sequence[Any]) -> Iterator[str]:
    """Yield labels as texts, whole numbers without a fraction."""
    for name in names:
        yield f"{name:g}" if isinstance(name, int | float) else str(name)
