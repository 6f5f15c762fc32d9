"""Exact and near duplicates among the rows of a table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rmplug import Features, Pairs, Responses

from ._copies import Columns, count_copies
from ._minhash import band_hashes, jaccard, meetings
from ._shingles import Grams, Hashes, Ints
from ._texts import shingle_sets
from ._union import Clusters

if TYPE_CHECKING:
    from .duplicates import Duplicates

ENOUGH = 10
"""Similar rows that a row is compared with inside its cluster, where the cluster is large: time
grows with the rows, not with their square, where texts of one template make a cluster."""
Floats = npt.NDArray[np.float64]


def find_duplicates(data: Pairs | Responses, step: Duplicates) -> Features:
    """Compute the columns of ``Duplicates`` for each row."""
    columns = count_copies(data)
    if step.near:
        columns |= find_near_copies(data, step)
    return Features({"id": data.column("id"), "group": data.column("group"), **columns}, data.name)


def find_near_copies(data: Pairs | Responses, step: Duplicates) -> Columns:
    """Find the rows whose sets of shingles are similar, in two passes over the texts: the first
    keeps a sketch of each row, the second the sets of those that might be similar."""
    keys, bands = _sketch(data, step)
    _, firsts, numbers = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    firsts, numbers = firsts[order], rank[numbers]
    bands = bands[firsts]
    with tempfile.TemporaryFile() as file:
        asked = firsts[_meeting(bands)]
        found = _compare(bands, firsts, _StoredSets.of(data, step, asked, file), step.threshold)
    return _columns(numbers, firsts, found)


def _sketch(data: Pairs | Responses, step: Duplicates) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    """Return of each row a hash of its set of shingles, and the hashes of its bands. Each row
    without shingles (an empty prompt, signs alone) has a hash of its own."""
    keys: list[Hashes] = []
    bands: list[npt.NDArray[np.uint32]] = []
    count = 0
    for made in _sets(data, step):
        none = np.diff(made.ends) == 0
        rows = np.arange(count, count + len(none), dtype=np.uint64)
        keys.append(np.where(none, rows, made.keys()))
        count += len(none)
        # half of each hash: what meets by chance is compared, and found to be unlike
        bands.append((band_hashes(made, step.threshold) >> np.uint64(32)).astype(np.uint32))
    if not keys:
        return np.empty(0, np.uint64), np.empty((0, 1), np.uint32)
    return np.concatenate(keys), np.concatenate(bands)


def _sets(data: Pairs | Responses, step: Duplicates) -> Iterator[Grams]:
    for batch in data.batches():
        yield shingle_sets(batch, step.compare, step.shingle, step.unit)


def _meeting(bands: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Return which sets share a band with another one."""
    met = np.zeros(len(bands), dtype=bool)
    for band in bands.T:
        _, inverse, counts = np.unique(band, return_inverse=True, return_counts=True)
        met |= counts[inverse] > 1
    return met


@dataclass
class _StoredSets:
    """Sets of shingles in a temporary file, by the row that they are of."""

    rows: Ints
    ends: Ints
    hashes: Hashes

    @classmethod
    def of(
        cls, data: Pairs | Responses, step: Duplicates, rows: Ints, file: IO[bytes]
    ) -> _StoredSets:
        """Read the texts again, and store the sets of these rows (ascending)."""
        sizes = [np.zeros(1, np.int64)]
        start = 0
        for made in _sets(data, step) if len(rows) else ():
            stop = start + len(made.ends) - 1
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
            part = made.take(inside)
            file.write(part.hashes.tobytes())
            sizes.append(np.diff(part.ends))
            start = stop
        file.flush()
        ends = np.cumsum(np.concatenate(sizes))
        if not ends[-1]:
            return cls(rows, ends, np.empty(0, np.uint64))
        return cls(rows, ends, np.memmap(file, dtype=np.uint64, mode="r"))

    def set_of(self, row: int) -> Hashes:
        place = int(np.searchsorted(self.rows, row))
        return self.hashes[self.ends[place] : self.ends[place + 1]]


@dataclass
class _Similar:
    """The clusters of sets; and of each set the most similar other one and the similarity."""

    clusters: Ints
    best: Floats
    partner: Ints


def _compare(
    bands: npt.NDArray[np.uint32], firsts: Ints, stored: _StoredSets, threshold: float
) -> _Similar:
    """Compare the sets that meet in a band, and join those that are similar."""
    similar = _Joining(len(bands))
    for number, band in enumerate(bands.T):
        for earlier, later in meetings(band):
            before = (bands[earlier, :number] == bands[later, :number]).any(axis=1)
            pairs = zip(earlier[~before].tolist(), later[~before].tolist(), strict=True)
            for one, other in pairs:
                if similar.is_known(one, other):
                    continue
                sets = stored.set_of(int(firsts[one])), stored.set_of(int(firsts[other]))
                similarity = jaccard(*sets)
                if similarity >= threshold:
                    similar.add(one, other, similarity)
    return _Similar(similar.clusters.labels(), similar.best, similar.partner)


class _Joining:
    """Clusters in the making, and each set's nearest other one so far."""

    def __init__(self, sets: int) -> None:
        self.clusters = Clusters(sets)
        self.best, self.partner = np.zeros(sets), np.full(sets, -1)
        self._found = np.zeros(sets, dtype=np.int64)

    def is_known(self, one: int, other: int) -> bool:
        """Check whether a comparison of two sets can tell little more: they are in one cluster,
        and the later of them has been found similar to ``ENOUGH`` others."""
        enough = self._found[other] >= ENOUGH
        return bool(enough) and self.clusters.first(one) == self.clusters.first(other)

    def add(self, one: int, other: int, similarity: float) -> None:
        self.clusters.join(one, other)
        for own, twin in ((one, other), (other, one)):
            self._found[own] += 1
            if similarity > self.best[own]:
                self.best[own], self.partner[own] = similarity, twin


def _columns(numbers: Ints, firsts: Ints, found: _Similar) -> Columns:
    """Return the columns of each row from those of its set: rows with the same set are alike by
    1."""
    rows = np.arange(len(numbers))
    cluster = firsts[found.clusters][numbers]
    _, inverse, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    copies = np.bincount(numbers, minlength=len(firsts))[numbers]
    similarity = np.where(copies > 1, 1.0, found.best[numbers])
    nearest = np.where(found.partner >= 0, firsts[found.partner], np.nan)[numbers]
    others = np.where(firsts[numbers] == rows, _second(numbers)[numbers], firsts[numbers])
    return {
        "near.copy": cluster != rows,
        "near.cluster": cluster.astype(np.float64),
        "near.size": sizes[inverse].astype(np.float64),
        "near.similarity": similarity,
        "near.partner": np.where(copies > 1, others, nearest),
    }


def _second(numbers: Ints) -> Floats:
    """Return for each set the second row that has it, NaN for none."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    made = np.full(len(starts), np.nan)
    several = np.flatnonzero(np.diff(np.append(starts, len(ordered))) > 1)
    made[several] = order[starts[several] + 1]
    return made
