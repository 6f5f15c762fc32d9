"""What the look of a response tells about being right, learnt from the other groups' responses."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Marks:
    """Each response (``rows``) with each of its features, once; ``cells`` number the pairs of group
    and feature."""

    rows: Ints
    features: Ints
    cells: Ints


@dataclass(frozen=True)
class Elsewhere:
    """Per mark: right and all responses with its feature in other groups, and the share of right
    responses there."""

    right: Floats
    all: Floats
    share: Floats


def first_characters(texts: pa.StringArray, right: Floats, groups: Ints) -> Floats:
    """The share of right ones among other groups' responses with the same first character."""
    firsts = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(pc.fill_null(texts, "")), 0, 1)
    marks = _marks(np.arange(len(right)), _numbers(firsts), groups)
    known = _elsewhere(marks, right, groups)
    scores = np.empty(len(right))
    scores[marks.rows] = (known.right + SHRINKAGE * known.share) / (known.all + SHRINKAGE)
    return scores


def n_grams(texts: pa.StringArray, right: Floats, groups: Ints) -> Floats:
    """The sum over a response's distinct words and pairs of words of their log-odds elsewhere."""
    marks = _marks(*_hashed(*_words(texts)), groups)
    known = _elsewhere(marks, right, groups)
    good = known.right + SHRINKAGE * known.share
    bad = known.all - known.right + SHRINKAGE * (1 - known.share)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(good / bad) - np.log(known.share / (1 - known.share))
    told = np.nan_to_num(odds, nan=0, posinf=0, neginf=0)
    return np.asarray(np.bincount(marks.rows, told, minlength=len(right)), dtype=np.float64)


def _marks(rows: Ints, features: Ints, groups: Ints) -> Marks:
    """Distinct marks by one sort of whole numbers that hold group, feature and row in the group."""
    order = np.argsort(groups, kind="stable")
    starts = np.cumsum(np.bincount(groups)) - np.bincount(groups)
    within = np.empty(len(groups), dtype=np.int64)
    within[order] = np.arange(len(groups)) - starts[groups[order]]
    most, kinds = int(within.max(initial=0)) + 1, int(features.max(initial=0)) + 1
    keys = np.sort((groups[rows] * kinds + features) * most + within[rows])
    keys = keys[np.diff(keys, prepend=-1) > 0]
    cell, place = np.divmod(keys, most)
    owner, feature = np.divmod(cell, kinds)
    return Marks(order[starts[owner] + place], feature, np.cumsum(np.diff(cell, prepend=-1) > 0))


def _elsewhere(marks: Marks, right: Floats, groups: Ints) -> Elsewhere:
    """Counts over all responses less those over the response's own group."""
    known = np.isfinite(right)
    weights = np.stack([np.where(known, right, 0.0), known.astype(np.float64)])
    right_ones, all_ones = (
        _sums(marks.features, weight[marks.rows]) - _sums(marks.cells, weight[marks.rows])
        for weight in weights
    )
    total_right, total = (w.sum() - _sums(groups, w)[marks.rows] for w in weights)
    share = np.where(total > 0, total_right / np.maximum(total, 1), 0.5)
    return Elsewhere(right_ones, all_ones, share)


def _sums(codes: Ints, weight: Floats) -> Floats:
    """For each entry, the sum over all entries with its code."""
    return np.asarray(np.bincount(codes, weight), dtype=np.float64)[codes]


def _words(texts: pa.StringArray) -> tuple[Ints, Ints]:
    """The row and the number of each word, in order, in lower case."""
    lowered = pc.utf8_lower(pc.fill_null(texts, ""))
    lists = pc.split_pattern_regex(lowered, BETWEEN_WORDS)
    rows = np.repeat(np.arange(len(lists)), np.asarray(pc.list_value_length(lists)))
    words = lists.flatten()
    said = np.asarray(pc.not_equal(words, ""))
    return rows[said], _numbers(words)[said]


def _hashed(rows: Ints, words: Ints) -> tuple[Ints, Ints]:
    """The row and the hash of each word and of each pair of neighbouring words."""
    beside = rows[1:] == rows[:-1]
    mixed = (words.astype(np.uint64) + np.uint64(1)) * MIXER
    pairs = ((mixed[:-1] ^ (mixed[1:] >> np.uint64(7))) * MIXER)[beside]
    hashes = np.concatenate([mixed, pairs]) >> np.uint64(64 - HASH_BITS)
    return np.concatenate([rows, rows[1:][beside]]), hashes.astype(np.int64)


def _numbers(texts: pa.StringArray) -> Ints:
    """Each distinct text as a number."""
    return np.asarray(texts.dictionary_encode().indices).astype(np.int64)
