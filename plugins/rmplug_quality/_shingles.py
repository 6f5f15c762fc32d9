"""Shingles of texts: 64-bit hashes of every run of so many words or characters.

All is arithmetic on code points, the same in every process and on every machine (Python's own hash
of a text is another one in each process). Two different shingles have the same hash with a chance of
about 1 in 10^19.
"""  # noqa: E501

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.int64]
Unit: TypeAlias = Literal["words", "characters"]

CODE_POINTS = 0x30000
"""Code points with a class of their own: the planes that hold letters. Others are no letters."""
CHARACTERS = 1 << 18
"""Characters at a time, or one text: what is computed of them stays in the cache."""
ROW_BITS = np.uint64(14)
ROWS = 1 << 14
"""Texts at a time whose shingles can be sorted together."""
FACTOR = 0x9E3779B97F4A7C15
INVERSE = pow(FACTOR, -1, 1 << 64)
STEP = np.uint64(0xD6E8FEB86659FD93)
SINGLE = (
    (0x2E80, 0x3100),
    (0x31F0, 0x3200),
    (0x3400, 0xA000),
    (0xF900, 0xFB00),
    (0x20000, 0x30000),
)
"""Chinese characters and kana: each is a word of its own, as there is no space between words."""


@dataclass(frozen=True)
class Grams:
    """The hashes of the shingles of some texts, those of text ``i`` from ``ends[i]`` to
    ``ends[i + 1]``."""

    hashes: Hashes
    ends: Ints

    @property
    def rows(self) -> Ints:
        """The text of each shingle."""
        return np.repeat(np.arange(len(self.ends) - 1), np.diff(self.ends))

    def take(self, rows: Ints) -> Grams:
        """Return the shingles of some texts, in the order given."""
        counts = np.diff(self.ends)[rows]
        ends = ends_of(counts)
        places = np.arange(ends[-1]) + np.repeat(self.ends[rows] - ends[:-1], counts)
        return Grams(self.hashes[places], ends)

    def keys(self) -> Hashes:
        """Return a hash of the shingles of each text, of their number too."""
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(self.hashes))])
        counts = np.diff(self.ends).astype(np.uint64)
        return _mixed(sums[self.ends[1:]] - sums[self.ends[:-1]] + counts * STEP)


def sets_of(rows: Ints, hashes: Hashes, texts: int) -> Grams:
    """Return each text's shingles once, in ascending order, as hashes of 50 bits; ``rows`` are the
    texts that the shingles are of, in any order. Text and hash are sorted as one number, which is
    several times faster than by two keys."""
    if texts > ROWS:
        raise ValueError(f"at most {ROWS} texts at a time")
    high = np.uint64(64) - ROW_BITS
    both = np.sort((rows.astype(np.uint64) << high) | (hashes >> ROW_BITS))
    first = np.ones(len(both), dtype=bool)
    first[1:] = both[1:] != both[:-1]
    both = both[first]
    counts = np.bincount((both >> high).astype(np.int64), minlength=texts)
    return Grams(both << ROW_BITS, ends_of(counts))


def ends_of(counts: npt.NDArray[np.int64]) -> Ints:
    """Return where each text begins, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def grams(texts: pa.Array, size: int, unit: Unit) -> Grams:
    """Return the shingles of each text: runs of ``size`` words or characters, in lower case and
    without punctuation. A text with fewer is one shingle, an empty one has none."""
    parts = [_grams_of(part, size, unit) for part in _parts(pc.fill_null(texts, ""))]
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(part.ends) for part in parts)])
    return Grams(hashes, ends_of(counts))


def _parts(texts: pa.Array) -> Iterator[list[str]]:
    """Yield texts in parts of about ``CHARACTERS`` characters."""
    lengths = np.asarray(pc.utf8_length(texts)).astype(np.int64)
    part = (np.cumsum(lengths + 1) // CHARACTERS) if len(lengths) else lengths
    edges = np.flatnonzero(np.diff(part, prepend=-1, append=-2))
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield texts.slice(start, stop - start).to_pylist()


def _grams_of(texts: list[str], size: int, unit: Unit) -> Grams:
    hashes, counts = _elements(texts, unit)
    if not len(hashes):
        return Grams(hashes, ends_of(counts))
    sizes = np.where(counts > 0, np.maximum(counts - size + 1, 1), 0)
    ends, starts = ends_of(sizes), ends_of(counts)[:-1]
    rows = np.repeat(np.arange(len(texts)), sizes)
    first = starts[rows] + np.arange(ends[-1]) - ends[rows]
    whole = np.concatenate([hashes, np.zeros(size, np.uint64)])
    made = np.zeros(len(first), np.uint64)
    last = (starts + counts)[rows]
    for place in range(size):
        inside = first + place < last
        made = np.where(inside, made * STEP + whole[first + place], made)
    return Grams(_mixed(made), ends)


def _elements(texts: list[str], unit: Unit) -> tuple[Hashes, Ints]:
    """Return the hash of each word or character of all texts, and how many each text has."""
    table = _table()
    points = np.frombuffer("\n".join(texts).encode("utf-32-le", "replace"), dtype=np.uint32)
    points = np.minimum(points, CODE_POINTS - 1)
    kinds = table.kinds[points]
    starts, stops = _words(kinds)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    begins = ends_of(lengths + 1)[:-1]
    if unit == "characters":
        return _letters(table.hashes[points], starts, stops, begins, lengths)
    sums = np.cumsum(table.hashes[points] * _powers(FACTOR, len(points)))
    sums = np.concatenate([np.zeros(1, np.uint64), sums])
    words = (sums[stops] - sums[starts]) * _powers(INVERSE, len(points))[starts]
    return _mixed(words), _counts(starts, begins, lengths)


def _words(kinds: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Return where each word starts and where it stops."""
    before, after = np.zeros_like(kinds), np.zeros_like(kinds)
    before[1:], after[:-1] = kinds[:-1], kinds[1:]
    starts = np.flatnonzero((kinds > 0) & ((before != 1) | (kinds == 2)))
    stops = np.flatnonzero((kinds > 0) & ((after != 1) | (kinds == 2))) + 1
    return starts, stops


def _letters(
    hashes: Hashes, starts: Ints, stops: Ints, begins: Ints, lengths: Ints
) -> tuple[Hashes, Ints]:
    """Return the letters of all words, with one sign between words of a text."""
    sizes = stops - starts + 1
    ends = ends_of(sizes)
    word = np.repeat(np.arange(len(starts)), sizes)
    place = np.arange(ends[-1]) - ends[word]
    gap = place == sizes[word] - 1
    made = np.where(
        gap, np.uint64(FACTOR), hashes[np.minimum(starts[word] + place, len(hashes) - 1)]
    )
    text = np.searchsorted(begins, starts, side="right") - 1
    last = np.ones(len(starts), dtype=bool)
    last[:-1] = text[1:] != text[:-1]
    kept = ~(gap & last[word])
    return _mixed(made[kept]), np.bincount(text[word[kept]], minlength=len(lengths))


def _counts(starts: Ints, begins: Ints, lengths: Ints) -> Ints:
    text = np.searchsorted(begins, starts, side="right") - 1
    return np.bincount(text, minlength=len(lengths))


def _mixed(hashes: Hashes) -> Hashes:
    """Spread each hash over all 64 bits (the end of SplitMix64)."""
    made = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    made = (made ^ (made >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(made ^ (made >> np.uint64(31)))


@lru_cache(maxsize=4)
def _growing_powers(factor: int, length: int) -> Hashes:
    return np.asarray(np.cumprod(np.full(length, factor, dtype=np.uint64)), dtype=np.uint64)


def _powers(factor: int, length: int) -> Hashes:
    """Return the powers of a factor modulo 2^64, from the first one."""
    size = max(2 * CHARACTERS, 1 << (length - 1).bit_length())
    return _growing_powers(factor, size)[:length]


@dataclass(frozen=True)
class _Table:
    """The class of each code point (0: between words, 1: in a word, 2: a word of its own), and the
    hash of its lower-case form."""

    kinds: npt.NDArray[np.uint8]
    hashes: Hashes


@lru_cache(maxsize=1)
def _table() -> _Table:
    signs = [chr(point) for point in range(CODE_POINTS)]
    kinds = np.array([unicodedata.category(sign)[0] in "LNM" for sign in signs], dtype=np.uint8)
    for start, stop in SINGLE:
        kinds[start:stop] *= 2
    lowered = (sign.lower() for sign in signs)
    folded = [ord(low) if len(low) == 1 else point for point, low in enumerate(lowered)]
    hashes = _mixed(np.array(folded, dtype=np.uint64) + np.uint64(FACTOR))
    return _Table(kinds, np.where(kinds > 0, hashes, np.uint64(0)))
