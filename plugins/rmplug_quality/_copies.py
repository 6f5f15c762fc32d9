"""Rows with the same texts, and those of them with another label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rmplug import Pairs, Responses
from rmplug.data.odd_rows import hash_conversations
from rmplug.data.seen_texts import combine_hashes, hash_texts

from ._shingles import Hashes, Ints

Columns = dict[str, npt.NDArray[Any]]


def count_copies(data: Pairs | Responses) -> Columns:
    """Count rows with the same texts, and those of them with another label."""
    pairs = isinstance(data, Pairs)
    texts, labels = _text_hashes(data, pairs)
    if pairs:
        same, other = combine_hashes(*texts), combine_hashes(texts[0], texts[2], texts[1])
        twin = texts[1] == texts[2]
        conflicts, contradicts = _seen(same, np.where(twin, 0, other), ~twin)
    else:
        same = combine_hashes(*texts)
        twin = np.zeros(len(same), dtype=bool)
        conflicts, contradicts = _other_labels(same, labels)
    copies, copy = _repeats(same)
    found = {"copies": copies, "copy": copy, "conflicts": conflicts, "contradicts": contradicts}
    return found | ({"identical": twin} if pairs else {})


def _text_hashes(data: Pairs | Responses, pairs: bool) -> tuple[list[Hashes], Hashes]:
    """Return the hash of each text of the rows, and that of their labels.

    They are other ones in each process, and only compared with each other."""
    names = ("prompt", "chosen", "rejected") if pairs else ("prompt", "response")
    parts: list[list[Hashes]] = [[] for _ in names]
    labels = []
    for batch in data.batches():
        for part, name in zip(parts, names, strict=True):
            part.append(hash_conversations(batch.column(name)))
        labels.append(_label_hashes(batch))
    nothing = np.empty(0, np.uint64)
    return [np.concatenate([nothing, *part]) for part in parts], np.concatenate([nothing, *labels])


def _label_hashes(batch: pa.RecordBatch) -> Hashes:
    """Return a hash of each row's label, 0 without one."""
    if "label" not in batch.schema.names:
        return np.zeros(batch.num_rows, np.uint64)
    label = batch.column("label")
    missing = np.asarray(label.is_null())
    return np.where(missing, np.uint64(0), hash_texts(label.cast(pa.string())) | np.uint64(1))


def _repeats(keys: Hashes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the number of other rows with the same key, and whether an earlier one has it."""
    _, first, inverse, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return (counts[inverse] - 1).astype(np.float64), first[inverse] < np.arange(len(keys))


def _seen(
    keys: Hashes, wanted: Hashes, asked: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return how many rows have the key that each row wants, and whether an earlier one has it."""
    if not len(keys):
        return np.zeros(0), np.zeros(0, dtype=bool)
    values, first, counts = np.unique(keys, return_index=True, return_counts=True)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    there = asked & (values[place] == wanted)
    number = np.where(there, counts[place], 0).astype(np.float64)
    return number, there & (first[place] < np.arange(len(keys)))


def _other_labels(
    keys: Hashes, labels: Hashes
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return how many rows have the same texts and another label, and whether an earlier one
    has."""
    numbers, contradicts = np.zeros(len(keys)), np.zeros(len(keys), dtype=bool)
    rows = np.flatnonzero(labels)
    if len(rows):
        own, _ = _repeats(combine_hashes(keys[rows], labels[rows]))
        numbers[rows] = _repeats(keys[rows])[0] - own
        _, first, same = np.unique(keys[rows], return_index=True, return_inverse=True)
        contradicts[rows] = _after_another(same, labels[rows], first)
    return numbers, contradicts


def _after_another(same: Ints, labels: Hashes, first: Ints) -> npt.NDArray[np.bool_]:
    """Return whether a row comes after one of the same texts with another label: all from the
    first whose label is not the first row's."""
    differs = labels != labels[first][same]
    start = np.full(len(first), len(same))
    np.minimum.at(start, same[differs], np.flatnonzero(differs))
    return np.asarray(np.arange(len(same)) >= start[same])
