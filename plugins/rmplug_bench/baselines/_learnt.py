"""Baselines that learn from the form of the other groups' responses.

Texts are read block by block; only the codes of n-grams are kept, in a file.
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
"""Number of responses that the share of right ones counts as, when estimates are shrunk to it."""
BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
IN_WORDS = np.array(
    [ord(chr(n).lower()) if chr(n).isalnum() else 32 for n in range(128)] + [32] * 128, np.uint8
)
"""The byte of each ASCII character in words in lower case; a space for what is between words."""
HASH_BITS = 22
MIXER = np.uint64(0x9E3779B97F4A7C15)
BLOCK_FEATURES = 1 << 20
"""Features of responses that are scored in one block."""


@dataclass(frozen=True)
class RightLabels:
    """Labels of responses: 1 if right, else 0; 1 if labelled, else 0; and the group."""

    right: Floats
    labelled: Floats
    groups: Ints

    @classmethod
    def of(cls, right: Floats, groups: Ints) -> RightLabels:
        labelled = np.isfinite(right)
        return cls(np.where(labelled, right, 0.0), labelled.astype(np.float64), groups)

    def share_elsewhere(self) -> Floats:
        """Compute the share of right ones among the responses of all other groups."""
        right, labelled = (w.sum() - _sums(self.groups, w) for w in (self.right, self.labelled))
        return np.where(labelled > 0, right / np.maximum(labelled, 1), 0.5)


def first_characters(blocks: Iterable[pa.Array], right: Floats, groups: Ints) -> Floats:
    """Compute the share of right ones among others with the same first character, by group held
    out."""
    firsts = [pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(b), 0, 1) for b in blocks]
    features = _numbers(pa.chunked_array(firsts, pa.string()).combine_chunks())
    labels = RightLabels.of(right, groups)
    cells = groups * (int(features.max(initial=0)) + 1) + features
    cells = np.unique(cells, return_inverse=True)[1]
    good, seen = (_sums(features, w) - _sums(cells, w) for w in (labels.right, labels.labelled))
    return (good + SHRINKAGE * labels.share_elsewhere()) / (seen + SHRINKAGE)


def n_grams(blocks: Iterable[pa.Array], right: Floats, groups: Ints) -> Floats:
    """Sum the log-odds, in other groups, of a response's distinct words and pairs of words.

    The features of each response are hashed once, counted, and written to a file without a name;
    then the responses are scored from it, some groups at a time, each without its own group.
    """
    labels, scores = RightLabels.of(right, groups), np.zeros(len(right))
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
            own = [_sums(cells, w[marks.rows]) for w in (labels.right, labels.labelled)]
            right_ones, all_ones = good[marks.features] - own[0], seen[marks.features] - own[1]
            odds = _log_odds(right_ones, all_ones, share[marks.rows])
            scores += np.bincount(marks.rows, odds, minlength=len(scores))
            mapped.madvise(MADV_DONTNEED)  # or the pages of the whole file stay in memory
    return scores


def _learnt(
    blocks: Iterable[pa.Array], labels: RightLabels, file: IO[bytes]
) -> tuple[Ints, Floats, Floats]:
    """Write each response's features to the file; return their ends, and per feature the right and
    all labelled responses."""
    counts = []
    good, seen = np.zeros((2, 1 << HASH_BITS))
    start = 0
    for texts in blocks:
        rows, features = _distinct(*_hashed(*_words(texts)))
        features.astype(np.uint32).tofile(file)
        for total, weights in ((good, labels.right), (seen, labels.labelled)):
            np.add.at(total, features, weights[start + rows])
        counts.append(np.bincount(rows, minlength=len(texts)))
        start += len(texts)
    file.flush()
    return np.cumsum(np.concatenate(counts)), good, seen


def _log_odds(right: Floats, seen: Floats, share: Floats) -> Floats:
    """Compute the log-odds of a feature over those of the share; 0 where infinite."""
    good, bad = right + SHRINKAGE * share, seen - right + SHRINKAGE * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(good / bad) - np.log(share / (1 - share))
    return np.asarray(np.nan_to_num(odds, nan=0, posinf=0, neginf=0), dtype=np.float64)


@dataclass(frozen=True)
class _Marks:
    """Features of some responses (``rows``), each once per response."""

    rows: Ints
    features: Ints

    @classmethod
    def of(cls, features: npt.NDArray[np.uint32], ends: Ints, rows: Ints) -> _Marks:
        """Select the features of these rows from the features of all responses."""
        counts = np.diff(ends, prepend=0)[rows]
        shift = ends[rows] - counts - (np.cumsum(counts) - counts)
        positions = np.repeat(shift, counts) + np.arange(counts.sum())
        return cls(np.repeat(rows, counts), features[positions].astype(np.int64))

    def cells(self, groups: Ints) -> Ints:
        """Number each mark's pair of group and feature."""
        group = groups[self.rows]
        keys = (group << HASH_BITS) + self.features
        order = np.argsort(keys)
        cells = np.empty(len(keys), dtype=np.int64)
        cells[order] = np.cumsum(np.diff(keys[order], prepend=-1) > 0) - 1
        return cells


def _whole_groups(groups: Ints, sizes: Ints) -> Iterator[Ints]:
    """Yield the rows of some whole groups at a time, with about ``BLOCK_FEATURES`` features."""
    order = np.argsort(groups, kind="stable")
    reached = np.cumsum(sizes[order]) // BLOCK_FEATURES
    last = np.flatnonzero(np.diff(groups[order], append=-1))
    cuts = last[np.diff(reached[last], append=-1) != 0] + 1
    yield from (part for part in np.split(order, cuts) if len(part))


def _sums(codes: Ints, weight: Floats) -> Floats:
    """Compute, for each entry, the sum over all entries with its code."""
    return np.asarray(np.bincount(codes, weight), dtype=np.float64)[codes]


def _words(texts: pa.Array) -> tuple[Ints, npt.NDArray[np.uint64]]:
    """Return the row and the hash of each word, in the order of each row, in lower case; rows of
    ASCII alone come first."""
    plain = np.asarray(pc.string_is_ascii(texts))
    ascii_rows, other_rows = np.flatnonzero(plain), np.flatnonzero(~plain)
    parts = []
    for places, split in ((ascii_rows, _split_ascii), (other_rows, _split)):
        rows, hashes = _hashed_words(split(texts.take(pa.array(places))))
        parts.append((places[rows], hashes))
    (rows, hashes), (more_rows, more_hashes) = parts
    return np.concatenate([rows, more_rows]), np.concatenate([hashes, more_hashes])


def _split(texts: pa.Array) -> pa.ListArray:
    return pc.split_pattern_regex(pc.utf8_lower(texts), BETWEEN_WORDS)


def _split_ascii(texts: pa.Array) -> pa.ListArray:
    """Split as ``_split`` does, six times as fast: bytes outside of words become spaces first."""
    _, offsets, data = texts.buffers()
    if data is None:
        return _split(texts)
    spaced = pa.py_buffer(IN_WORDS[np.frombuffer(data, dtype=np.uint8)])
    buffers = [None, offsets, spaced]
    return pc.ascii_split_whitespace(
        pa.Array.from_buffers(texts.type, len(texts), buffers, offset=texts.offset)
    )


def _hashed_words(lists: pa.ListArray) -> tuple[Ints, npt.NDArray[np.uint64]]:
    """Return the row and the hash of each word."""
    rows = np.repeat(np.arange(len(lists)), np.asarray(pc.list_value_length(lists)))
    words = lists.flatten()
    filled = np.asarray(pc.not_equal(words, ""))
    coded = words.dictionary_encode()
    hashes = [blake2b(w.encode(), digest_size=8).digest() for w in coded.dictionary.to_pylist()]
    values = np.frombuffer(b"".join(hashes), dtype=np.uint64)
    return rows[filled], values[np.asarray(coded.indices)[filled]]


def _hashed(rows: Ints, words: npt.NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Return the row and the code of each word and of each pair of neighbouring words."""
    beside = rows[1:] == rows[:-1]
    mixed = words * MIXER
    pairs = ((mixed[:-1] ^ (mixed[1:] >> np.uint64(7))) * MIXER)[beside]
    hashes = np.concatenate([mixed, pairs]) >> np.uint64(64 - HASH_BITS)
    return np.concatenate([rows, rows[1:][beside]]), hashes.astype(np.int64)


def _distinct(rows: Ints, features: Ints) -> tuple[Ints, Ints]:
    """Return each feature of a row once, in the order of rows."""
    keys = np.sort((rows << HASH_BITS) + features)
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return keys >> HASH_BITS, keys & ((1 << HASH_BITS) - 1)


def _numbers(texts: pa.Array) -> Ints:
    """Return each distinct text as a number."""
    return np.asarray(texts.dictionary_encode().indices).astype(np.int64)
