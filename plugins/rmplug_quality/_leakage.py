"""Overlap of texts with those of other data sets: shared n-grams, and near duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rmplug.data.rows import BATCH_ROWS, Rows

from ._minhash import band_hashes, jaccard
from ._shingles import Grams, Hashes, Ints, Unit, ends_of, grams, sets_of
from ._texts import plain_text

Floats = npt.NDArray[np.float64]
FILTER_BITS = 27
"""Most bits of a hash that the first look-up uses: 128 MB."""
MOST_MEETING = 20
"""Reference texts of a band that a text is compared with."""


@dataclass(frozen=True)
class Settings:
    """What is compared, and how."""

    ngram: int
    shingle: int
    unit: Unit
    threshold: float
    overlap: float


@dataclass
class Reference:
    """The texts of one side (prompts or responses) of all references: a sorted table of their
    n-grams, and their sketches by band."""

    ngrams: Hashes
    flags: npt.NDArray[np.bool_]
    shift: np.uint64
    sets: Grams
    rows: Ints
    """The row that each text is of, counted through all references."""
    bands: list[tuple[npt.NDArray[np.uint32], Ints]]

    @classmethod
    def of(cls, texts: Iterator[tuple[pa.Array, Ints]], settings: Settings) -> Reference:
        """Gather the texts of the references, each with the rows that they are of."""
        ngrams, sets, rows, bands = [np.empty(0, np.uint64)], [], [np.empty(0, np.int64)], []
        for part, of in texts:
            ngrams.append(_distinct(grams(part, settings.ngram, settings.unit).hashes))
            own = text_sets(part, settings)
            sets.append(own)
            bands.append(_bands(own, settings.threshold))
            rows.append(of)
        table = _distinct(np.concatenate(ngrams))
        bits = min(FILTER_BITS, max(10, len(table).bit_length() + 4))
        shift = np.uint64(64 - bits)
        flags = np.zeros(1 << bits, dtype=bool)
        flags[(table >> shift).astype(np.int64)] = True
        whole = np.concatenate(bands) if bands else np.empty((0, 1), np.uint32)
        orders = [np.argsort(band, kind="stable") for band in whole.T]
        by_band = [(band[order], order) for band, order in zip(whole.T, orders, strict=True)]
        return cls(table, flags, shift, _chained(sets), np.concatenate(rows), by_band)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return which n-grams the references have. Most are ruled out by a table of their first
        bits, which lies in the cache more than the hashes do."""
        found = self.flags[(hashes >> self.shift).astype(np.int64)]
        asked = np.flatnonzero(found)
        place = np.searchsorted(self.ngrams, hashes[asked])
        found[asked] = self.ngrams[np.minimum(place, len(self.ngrams) - 1)] == hashes[asked]
        return found

    def nearest(self, own: Grams, threshold: float) -> tuple[Floats, Floats]:
        """Return for each set the greatest similarity to a reference text, 0 below the threshold,
        and the row of that text, NaN where there is none; of several, the first."""
        count = len(own.ends) - 1
        best, partner = np.zeros(count), np.full(count, np.nan)
        texts, others = self._meetings(_bands(own, threshold))
        for text, other in zip(texts.tolist(), others.tolist(), strict=True):
            if own.ends[text] == own.ends[text + 1]:
                continue
            theirs = self.sets.hashes[self.sets.ends[other] : self.sets.ends[other + 1]]
            similarity = jaccard(own.hashes[own.ends[text] : own.ends[text + 1]], theirs)
            if similarity >= threshold and similarity > best[text]:
                best[text], partner[text] = similarity, self.rows[other]
        return best, partner

    def _meetings(self, bands: npt.NDArray[np.uint32]) -> tuple[Ints, Ints]:
        """Return the texts and reference texts that share a band, ordered, each pair once."""
        pairs = [np.empty(0, np.int64)]
        count = max(1, len(self.sets.ends) - 1)
        for (ordered, order), band in zip(self.bands, bands.T, strict=False):
            low = np.searchsorted(ordered, band, side="left")
            sizes = np.searchsorted(ordered, band, side="right") - low
            sizes = np.minimum(sizes, MOST_MEETING)
            texts = np.repeat(np.arange(len(band)), sizes)
            ends = ends_of(sizes)
            places = np.repeat(low - ends[:-1], sizes) + np.arange(ends[-1])
            pairs.append(texts * count + order[places])
        both = np.unique(np.concatenate(pairs))
        return both // count, both % count


def text_sets(texts: pa.Array, settings: Settings) -> Grams:
    made = grams(texts, settings.shingle, settings.unit)
    return sets_of(made.rows, made.hashes, len(texts))


def _bands(sets: Grams, threshold: float) -> npt.NDArray[np.uint32]:
    return (band_hashes(sets, threshold) >> np.uint64(32)).astype(np.uint32)


def _distinct(hashes: Hashes) -> Hashes:
    """Return the hashes once, in ascending order."""
    made = np.sort(hashes)
    return np.asarray(made[np.append(True, made[1:] != made[:-1])[: len(made)]])


def _chained(parts: Sequence[Grams]) -> Grams:
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(part.ends) for part in parts)])
    return Grams(hashes, ends_of(counts))


@dataclass
class MeasureLeakage:
    """The row-wise overlap with references; their tables are made once in each process."""

    references: tuple[Rows, ...]
    sides: tuple[tuple[str, str], ...]
    """Each column of text, and the side of the references that it is compared with."""
    settings: Settings
    _made: dict[str, Reference] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}

    def __call__(self, batch: pa.RecordBatch) -> dict[str, npt.NDArray[Any]]:
        parts = [
            self._measure(batch.slice(start, BATCH_ROWS))
            for start in range(0, max(1, batch.num_rows), BATCH_ROWS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _measure(self, batch: pa.RecordBatch) -> dict[str, npt.NDArray[Any]]:
        leaked = np.zeros(batch.num_rows, dtype=bool)
        columns: dict[str, npt.NDArray[Any]] = {}
        for column, side in self.sides:
            overlap, similarity, partner = self._against(plain_text(batch, column), side)
            leaked |= (overlap >= self.settings.overlap) | (similarity > 0)
            columns[f"{column}.overlap"] = overlap
            columns[f"{column}.similarity"] = similarity
            columns[f"{column}.partner"] = partner
        return {"leaked": leaked, **columns}

    def _against(self, texts: pa.Array, side: str) -> tuple[Floats, Floats, Floats]:
        reference = self._reference(side)
        made = grams(texts, self.settings.ngram, self.settings.unit)
        found = np.zeros(len(made.hashes), dtype=bool)
        if len(reference.ngrams):
            found = reference.holds(made.hashes)
        sizes = np.diff(made.ends)
        overlap = np.bincount(made.rows[found], minlength=len(texts)) / np.maximum(sizes, 1)
        own = text_sets(texts, self.settings)
        return overlap, *reference.nearest(own, self.settings.threshold)

    def _reference(self, side: str) -> Reference:
        if side not in self._made:
            self._made[side] = Reference.of(self._texts(side), self.settings)
        return self._made[side]

    def _texts(self, side: str) -> Iterator[tuple[pa.Array, Ints]]:
        """Yield the texts of a side of all references, with their rows counted through all."""
        start = 0
        for rows in self.references:
            for batch in rows.batches():
                numbers = np.arange(start, start + batch.num_rows)
                for column in _columns(batch.schema.names, side):
                    yield plain_text(batch, column), numbers
                start += batch.num_rows


def _columns(names: Sequence[str], side: str) -> tuple[str, ...]:
    if side == "prompt":
        return ("prompt",)
    return ("chosen", "rejected") if "chosen" in names else ("response",)
