"""Folds that keep groups whole: rows of one prompt are never on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def deal_folds(groups: Array, folds: int, seed: int, levels: Array | None = None) -> Array:
    """A fold (0 … folds - 1) per row; ``groups`` are numbered from 0. Groups are dealt to and fro:
    by their mean level (a label, the kind of row) if there is one, the largest first, else by
    chance, so that sizes and levels are spread evenly."""
    import numpy as np

    sizes = np.bincount(groups)
    keys = [np.random.default_rng(seed).random(len(sizes)), -sizes]
    if levels is not None:
        keys.append(np.bincount(groups, weights=levels) / sizes)
    rounds, place = np.divmod(np.arange(len(sizes)), folds)
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[np.lexsort(keys)] = np.where(rounds % 2, folds - 1 - place, place)
    return np.asarray(fold[groups])
