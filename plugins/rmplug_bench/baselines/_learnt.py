"""What the look of a response tells about being right, learnt from the other groups' responses.

Texts come block by block; of the n-grams of all responses only their numbers are kept, in a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHRINKAGE = 2.0
"""Responses' worth of the share of right ones that every estimate is drawn towards."""
BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
HASH_BITS = 22
MIXER = np.uint64(0x9E3779B97F4A7C15)
BLOCK_FEATURES = 1 << 20
"""Features of responses that are looked at together, when they are scored."""


@dataclass(frozen=True)
class Labels:
    """Of each response: 1 if it is right and 0 if not, whether that is known, and its group."""

    right: Floats
    known: Floats
    groups: Ints

    @classmethod
    def of(cls, right: Floats, groups: Ints) -> Labels:
        known = np.isfinite(right)
        return cls(np.where(known, right, 0.0), known.astype(np.float64), groups)

    def share_elsewhere(self) -> Floats:
        """The share of right ones among all responses of other groups than each one's."""
        right, known = (w.sum() - _sums(self.groups, w) for w in (self.right, self.known))
        return np.where(known > 0, right / np.maximum(known, 1), 0.5)


def first_characters(blocks: Iterable[pa.Array], right: Floats, groups: Ints) -> Floats:
    """The share of right ones among other groups' responses with the same first character."""
    firsts = [pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(b), 0, 1) for b in blocks]
    features = _numbers(pa.chunked_array(firsts, pa.string()).combine_chunks())
    labels = Labels.of(right, groups)
    cells = groups * (int(features.max(initial=0)) + 1) + features
    cells = np.unique(cells, return_inverse=True)[1]
    good, seen = (_sums(features, w) - _sums(cells, w) for w in (labels.right, labels.known))
    return (good + SHRINKAGE * labels.share_elsewhere()) / (seen + SHRINKAGE)


def n_grams(blocks: Iterable[pa.Array], right: Floats, groups: Ints) -> Floats:
    """The sum over a response's distinct words and pairs of words of their log-odds elsewhere.

    The features of each response are hashed once, counted, and written to a file without a name;
    then the responses are scored from it, some groups at a time, each without its own group.
    """
    labels, scores = Labels.of(right, groups), np.zeros(len(right))
    if not len(right):
        return scores
    with tempfile.TemporaryFile() as file:
        ends, good, seen = _learnt(blocks, labels, file)
        if not ends[-1]:
            return scores
        mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
        features = np.frombuffer(mapped, dtype=np.uint32)
        share = labels.share_elsewhere()
        for rows in _whole_groups(groups, np.diff(ends, prepend=0)):
            marks = _Marks.of(features, ends, rows)
            cells = marks.cells(groups)
            own = [_sums(cells, w[marks.rows]) for w in (labels.right, labels.known)]
            right_ones, all_ones = good[marks.features] - own[0], seen[marks.features] - own[1]
            odds = _log_odds(right_ones, all_ones, share[marks.rows])
            scores += np.bincount(marks.rows, odds, minlength=len(scores))
            mapped.madvise(MADV_DONTNEED)  # or the pages of the whole file stay in memory
    return scores


def _learnt(
    blocks: Iterable[pa.Array], labels: Labels, file: IO[bytes]
) -> tuple[Ints, Floats, Floats]:
    """Where each response's features end in the file, and of each feature the right and all
    responses that have it."""
    counts = []
    good, seen = np.zeros((2, 1 << HASH_BITS))
    start = 0
    for texts in blocks:
        rows, features = _distinct(*_hashed(*_words(texts)))
        features.astype(np.uint32).tofile(file)
        for total, weights in ((good, labels.right), (seen, labels.known)):
            np.add.at(total, features, weights[start + rows])
        counts.append(np.bincount(rows, minlength=len(texts)))
        start += len(texts)
    file.flush()
    return np.cumsum(np.concatenate(counts)), good, seen


def _log_odds(right: Floats, seen: Floats, share: Floats) -> Floats:
    """How much likelier than the share a feature makes it to be right; 0 where that is infinite."""
    good, bad = right + SHRINKAGE * share, seen - right + SHRINKAGE * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(good / bad) - np.log(share / (1 - share))
    return np.asarray(np.nan_to_num(odds, nan=0, posinf=0, neginf=0), dtype=np.float64)


@dataclass(frozen=True)
class _Marks:
    """Some responses (``rows``) with each of their features, once."""

    rows: Ints
    features: Ints

    @classmethod
    def of(cls, features: npt.NDArray[np.uint32], ends: Ints, rows: Ints) -> _Marks:
        """Of the responses of these rows, from all features side by side."""
        counts = np.diff(ends, prepend=0)[rows]
        shift = ends[rows] - counts - (np.cumsum(counts) - counts)
        places = np.repeat(shift, counts) + np.arange(counts.sum())
        return cls(np.repeat(rows, counts), features[places].astype(np.int64))

    def cells(self, groups: Ints) -> Ints:
        """The number of each mark's pair of group and feature."""
        group = groups[self.rows]
        keys = (group << HASH_BITS) + self.features
        order = np.argsort(keys)
        cells = np.empty(len(keys), dtype=np.int64)
        cells[order] = np.cumsum(np.diff(keys[order], prepend=-1) > 0) - 1
        return cells


def _whole_groups(groups: Ints, sizes: Ints) -> Iterator[Ints]:
    """The rows of some whole groups at a time, with about as many features as are wanted."""
    order = np.argsort(groups, kind="stable")
    reached = np.cumsum(sizes[order]) // BLOCK_FEATURES
    last = np.flatnonzero(np.diff(groups[order], append=-1))
    cuts = last[np.diff(reached[last], append=-1) != 0] + 1
    yield from (part for part in np.split(order, cuts) if len(part))


def _sums(codes: Ints, weight: Floats) -> Floats:
    """For each entry, the sum over all entries with its code."""
    return np.asarray(np.bincount(codes, weight), dtype=np.float64)[codes]


def _words(texts: pa.Array) -> tuple[Ints, npt.NDArray[np.uint64]]:
    """The row and the hash of each word, in order, in lower case."""
    lists = pc.split_pattern_regex(pc.utf8_lower(texts), BETWEEN_WORDS)
    rows = np.repeat(np.arange(len(lists)), np.asarray(pc.list_value_length(lists)))
    words = lists.flatten()
    said = np.asarray(pc.not_equal(words, ""))
    coded = words.dictionary_encode()
    hashes = [blake2b(w.encode(), digest_size=8).digest() for w in coded.dictionary.to_pylist()]
    known = np.frombuffer(b"".join(hashes), dtype=np.uint64)
    return rows[said], known[np.asarray(coded.indices)[said]]


def _hashed(rows: Ints, words: npt.NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """The row and the number of each word and of each pair of neighbouring words."""
    beside = rows[1:] == rows[:-1]
    mixed = words * MIXER
    pairs = ((mixed[:-1] ^ (mixed[1:] >> np.uint64(7))) * MIXER)[beside]
    hashes = np.concatenate([mixed, pairs]) >> np.uint64(64 - HASH_BITS)
    return np.concatenate([rows, rows[1:][beside]]), hashes.astype(np.int64)


def _distinct(rows: Ints, features: Ints) -> tuple[Ints, Ints]:
    """Each feature of a row once, in the order of rows."""
    keys = np.sort((rows << HASH_BITS) + features)
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return keys >> HASH_BITS, keys & ((1 << HASH_BITS) - 1)


def _numbers(texts: pa.Array) -> Ints:
    """Each distinct text as a number."""
    return np.asarray(texts.dictionary_encode().indices).astype(np.int64)
