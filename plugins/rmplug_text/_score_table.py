"""Recorded scores by the hashes of the ids or texts that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug.arrays import Array
from rmplug.data.seen_texts import hash_texts

HELD = 4096
"""Rows whose texts are held until they are hashed together."""


def text_keys(prompts: pa.Array, responses: pa.Array) -> Array:
    """Return an 8-byte key of each prompt and response, other ones in each process; a null stands
    for any prompt."""
    keys = hash_texts(prompts, responses)
    return np.where(prompts.is_null(), hash_texts(responses), keys) if prompts.null_count else keys


@dataclass(frozen=True)
class ScoreTable:
    """Scores sorted by their keys, those of one key in the order of the files.

    ``keys`` (k,) are distinct, those of key i are ``scores[starts[i] : starts[i + 1]]``, ``values``
    (k,) are what responses get, and ``unclear`` (k,) says which keys have different scores.
    """

    keys: Array
    starts: Array
    scores: Array
    values: Array
    unclear: Array

    @classmethod
    def of(cls, keys: Array, scores: Array, mean: bool) -> ScoreTable:
        """Sort scores by their keys. A key with different scores gets the first of them, or, with
        ``mean``, the mean of all of them."""
        order = np.argsort(keys)
        new = np.diff(keys[order], prepend=~keys[order][:1]) != 0
        if not new.all():  # equal keys must stay in order, which takes longer
            order = np.argsort(keys, kind="stable")
        keys, scores = keys[order], scores[order]
        starts = np.append(np.flatnonzero(new), len(keys))
        counts = np.diff(starts)
        first = scores[starts[:-1]]
        same = np.equal(scores, np.repeat(first, counts))
        same |= np.isnan(scores) & np.repeat(np.isnan(first), counts)
        unclear = np.zeros(len(first), dtype=bool)
        unclear[np.repeat(np.arange(len(first)), counts)[~same]] = True
        table = cls(keys[starts[:-1]], starts, scores, first, unclear)
        if mean:
            for at in np.flatnonzero(unclear).tolist():
                first[at] = np.mean(table.scores_of(at))
            unclear[:] = False
        return table

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Array) -> Array:
        """Return the position of each key (n,), -1 for one that has no score."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        order = np.argsort(keys)  # sorted keys are found twice as fast
        sought = keys[order]
        at = np.minimum(np.searchsorted(self.keys, sought), len(self.keys) - 1)
        positions = np.empty_like(at)
        positions[order] = np.where(self.keys[at] == sought, at, -1)
        return positions

    def scores_of(self, position: int) -> Array:
        """Return all scores of a key."""
        return self.scores[self.starts[position] : self.starts[position + 1]]


class ScoreRows:
    """Scores on their way into a table: of columns, or of single rows, which are hashed many at
    once. ``keys_of`` returns the keys of the texts that a score belongs to."""

    def __init__(self, keys_of: Callable[..., Array]) -> None:
        self.keys_of = keys_of
        self.keys = [np.empty(0, np.uint64)]
        self.scores = [np.empty(0)]
        self.held: list[tuple[str | None, ...]] = []
        self.scores_held: list[float] = []

    def extend(self, texts: Sequence[pa.Array], scores: Array) -> None:
        """Add the scores of columns of texts."""
        self.keys.append(self.keys_of(*texts))
        self.scores.append(scores)

    def add(self, texts: tuple[str | None, ...], score: float) -> None:
        """Add the score of one row's texts."""
        self.held.append(texts)
        self.scores_held.append(score)
        if len(self.held) == HELD:
            self._hash_held()

    def _hash_held(self) -> None:
        if self.held:
            columns = [pa.array(column, pa.string()) for column in zip(*self.held, strict=True)]
            self.extend(columns, np.array(self.scores_held))
        self.held, self.scores_held = [], []

    def table(self, mean: bool) -> ScoreTable:
        """Return all scores, sorted; see ``ScoreTable.of``."""
        self._hash_held()
        return ScoreTable.of(np.concatenate(self.keys), np.concatenate(self.scores), mean)
