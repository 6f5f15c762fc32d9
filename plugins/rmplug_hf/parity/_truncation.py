"""The search for a length at which texts were cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.tokens._tokenizing import Tokenizing, Tokens

from ._asked import Asked, reward_of
from ._hypotheses import Hypothesis, asked_with

SIDES = ("right", "left", "prompt-left")
MOST_TRIED = 1024
"""Lengths that are tried at most, on the one row that tells most."""


def of_lengths(model: Transformer, asked: Asked, scores: Array) -> Iterator[Hypothesis]:
    """Yield hypotheses about where long texts were cut: lengths at which the shortest text that
    differs would have the score that it was given. Texts that are no longer differ in nothing."""
    sizes = np.array([len(row) for row in model.loaded.tokenizing.rows(asked.responses)])
    if asked.margins:
        sizes = sizes.reshape(asked.sides, -1).max(axis=0)
    far = np.abs(asked.shown(scores) - asked.given) > asked.tolerance
    if not far.any():
        return
    differing, same = sizes[far].min(), sizes[~far].max(initial=1)
    if same > differing:
        return  # shorter texts differ while longer ones do not
    lengths = range(int(differing) - 1, max(int(same) - 1, 3), -1)[:MOST_TRIED]
    shortest = int(np.flatnonzero(far)[np.argmin(sizes[far])])
    for side in SIDES:
        for length in _fitting(model, asked, shortest, lengths, side):
            tokenizing = limited(model.loaded.tokenizing, length, side)
            setting = f"max_length: {length}, truncate: {side}"
            yield Hypothesis(setting, asked_with(model, tokenizing))


def _fitting(
    model: Transformer, asked: Asked, shortest: int, lengths: Sequence[int], side: str
) -> list[int]:
    """Return the lengths, the largest first, with which one row has the number it was given."""
    places = [shortest, shortest + asked.rows] if asked.margins else [shortest]
    found = [_scores(model, asked.responses.slice(at, 1), lengths, side) for at in places]
    numbers = found[0] - found[1] if asked.margins else found[0]
    near = np.abs(numbers - asked.given[shortest]) <= asked.tolerance
    return [length for length, is_near in zip(lengths, near, strict=True) if is_near]


def _scores(model: Transformer, row: pa.RecordBatch, lengths: Sequence[int], side: str) -> Array:
    """Return the scores of one row cut to each length; NaN where it cannot be."""
    tokenizing = model.loaded.tokenizing
    cuts: list[Tokens | None] = []
    for length in lengths:
        try:
            cuts.append(limited(tokenizing, length, side).rows(row)[0])
        except DataError:  # no room for a response
            cuts.append(None)
    scores = np.full(len(lengths), np.nan)
    there = [number for number, cut in enumerate(cuts) if cut is not None]
    if there:
        changed = copy(model)
        listed: Any = _Listed(tokenizing, [cuts[number] for number in there])
        changed.loaded = replace(model.loaded, tokenizing=listed)
        scores[there] = reward_of(changed, row.take(pa.array([0] * len(there))))
    return scores


def limited(tokenizing: Tokenizing, length: int, side: str) -> Tokenizing:
    """Return a converter with another limit of length."""
    same = copy(tokenizing)  # with its renderer: to compile a template takes longer than to cut
    same.max_length, same.truncate = length, side
    return same


class _Listed:
    """A converter that has the tokens of its rows already."""

    def __init__(self, tokenizing: Tokenizing, listed: list[Any]) -> None:
        self._tokenizing, self._listed = tokenizing, listed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizing, name)

    def rows(self, responses: pa.RecordBatch, part: Any = "both", bounds: bool = False) -> Any:
        """Return the tokens, one entry per row."""
        return self._listed
