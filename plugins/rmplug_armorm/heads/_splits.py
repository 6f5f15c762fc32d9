"""Splits of rows into parts that are held out in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.folds import deal_folds

HELD_SHARE = 0.2


@dataclass(frozen=True)
class HeldOutSplit:
    """The part of each row, and the parts that are held out, one after the other."""

    part: Array
    held: tuple[int, ...]

    @property
    def parts(self) -> range:
        return range(int(self.part.max()) + 1)

    def rest(self, held: int) -> list[int]:
        return [part for part in self.parts if part != held]

    def learnt(self, again: bool) -> list[int]:
        """List the parts that the final heads are learnt from: all, if they are fitted again."""
        return list(self.parts) if again else self.rest(self.held[0])


def original_split(rows: int) -> HeldOutSplit:
    """Hold out as the published script does: the first fifth, rounded up, of a permutation of
    rows."""
    order = np.random.RandomState(42).permutation(rows)
    part = np.ones(rows, np.int64)
    part[order[: int(np.ceil(HELD_SHARE * rows))]] = 0
    return HeldOutSplit(part, (0,))


def grouped_split(groups: Array, labelled: Array, folds: int, seed: int) -> HeldOutSplit:
    """Assign whole groups to folds in serpentine order, those labelled for the same attributes one
    after the other, so that each fold has its share of each attribute."""
    names, first, of_rows = np.unique(groups, return_index=True, return_inverse=True)
    _, kind = np.unique(np.packbits(labelled[first], axis=1), axis=0, return_inverse=True)
    parts = min(folds if folds > 1 else round(1 / HELD_SHARE), len(names))
    part = deal_folds(of_rows, parts, seed, kind.ravel()[of_rows])
    return (
        HeldOutSplit(part, tuple(range(parts)))
        if folds > 1
        else HeldOutSplit(np.minimum(part, 1), (0,))
    )
