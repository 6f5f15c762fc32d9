"""The phrases of word lists, found in texts by the hashes of their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rmplug.arrays import Array

from ._code_points import FACTOR, CodePoints, hashes_of
from ._phrases import OPENING, PHRASES


@dataclass(frozen=True)
class Lexicon:
    """Hashes of the phrases by length and list, and which leading bits begin one."""

    single: Array
    double: Array
    by_length: dict[int, dict[str, Array]]


@lru_cache(maxsize=1)
def _lexicon() -> Lexicon:
    single, double = np.zeros((2, 1 << 16), dtype=bool)
    lists: dict[int, dict[str, list[int]]] = {}
    for name, phrases in PHRASES.items():
        for phrase in phrases:
            hashes = hashes_of(phrase)
            length = len(hashes)
            begin = _leading(_chain(hashes, np.array([0]), min(length, 2)))
            (single if length == 1 else double)[begin] = True
            chained = int(_chain(hashes, np.array([0]), length)[0])
            lists.setdefault(length, {}).setdefault(name, []).append(chained)
    return Lexicon(
        single,
        double,
        {
            length: {
                name: np.sort(np.array(values, dtype=np.uint64)) for name, values in of.items()
            }
            for length, of in lists.items()
        },
    )


def _leading(hashes: Array) -> Array:
    return (hashes >> np.uint64(48)).view(np.int64)


def _chain(hashes: Array, starts: Array, length: int) -> Array:
    """Return the hash of the ``length`` tokens from each start."""
    chained = hashes[starts]
    for step in range(1, length):
        chained = chained * np.uint64(FACTOR) + hashes[starts + step]
    return chained


def count_phrases(texts: CodePoints) -> Mapping[str, Array]:
    """Count the phrases of each list in each text."""
    lexicon, hashes, text = _lexicon(), texts.hashes, texts.token_text
    counts = {name: np.zeros(texts.count) for name in PHRASES}
    pairs = hashes[:-1] * np.uint64(FACTOR) + hashes[1:]
    single = np.flatnonzero(lexicon.single[_leading(hashes)])
    double = np.flatnonzero(lexicon.double[_leading(pairs)])
    for length, lists in lexicon.by_length.items():
        starts = single if length == 1 else double[double + length <= len(text)]
        starts = starts[text[starts + length - 1] == text[starts]]
        chained = _chain(hashes, starts, length)
        for name, listed in lists.items():
            matches = starts[listed[np.searchsorted(listed[:-1], chained)] == chained]
            if name == "flattery":
                first = np.cumsum(texts.token_counts) - texts.token_counts
                matches = matches[matches - first[text[matches]] < OPENING]
            counts[name] += np.bincount(text[matches], minlength=texts.count)
    return counts
