"""Folds that keep groups whole: rows of one prompt are never on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def deal_folds(groups: Array, folds: int, seed: int, levels: Array | None = None) -> Array:
    """Assign each row a fold (0 … folds - 1), shape (rows,); ``groups`` (rows,) count from 0.

    Groups stay whole and are assigned in serpentine order (0 … k, k … 0): by their mean level (a
    label, the kind of row) if ``levels`` are given, the largest first, ties at random by ``seed``;
    so sizes and levels are spread evenly."""
    import numpy as np

    sizes = np.bincount(groups)
    keys = [np.random.default_rng(seed).random(len(sizes)), -sizes]
    if levels is not None:
        keys.append(np.bincount(groups, weights=levels) / sizes)
    rounds, turn = np.divmod(np.arange(len(sizes)), folds)
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[np.lexsort(keys)] = np.where(rounds % 2, folds - 1 - turn, turn)
    return np.asarray(fold[groups])
