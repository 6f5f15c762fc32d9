"""Folds and 95 % intervals that respect groups: rows of one prompt stay together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from rmplug.intervals import bounds, row_weights

Statistic: TypeAlias = Callable[[np.ndarray], float]
"""A number of the data in which row ``i`` counts ``weights[i]`` times."""

REPLICATES = 500
MANY_ROWS = 100_000


def deal_folds(groups: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold (0 … folds - 1) per row; a group is in one fold, sizes and labels are spread evenly.

    Groups are ordered by mean label, size and chance, and dealt to and fro.
    """
    sizes = np.bincount(groups)
    level = np.bincount(groups, weights=labels) / sizes
    order = np.lexsort((np.random.default_rng(seed).random(len(sizes)), -sizes, level))
    rounds, place = np.divmod(np.arange(len(sizes)), folds)
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[order] = np.where(rounds % 2, folds - 1 - place, place)
    return np.asarray(fold[groups])


def measured(
    statistics: Mapping[str, Statistic], groups: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Rows of metrics: each statistic with the interval of a bootstrap over groups."""
    replicates = REPLICATES if len(groups) < MANY_ROWS else REPLICATES // 5
    drawn = np.array(
        [
            [statistic(weights) for statistic in statistics.values()]
            for weights in row_weights(groups, replicates, seed)
        ]
    ).reshape(replicates, len(statistics))
    ones = np.ones(len(groups))
    return [
        number(name, statistic(ones), len(groups), *bounds(drawn[:, place]))
        for place, (name, statistic) in enumerate(statistics.items())
    ]


def number(
    metric: str, value: float, n: int, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    """One row of metrics over all rows; a value that cannot be computed is null."""
    known = float(value) if np.isfinite(value) else None
    return {"metric": metric, "subset": "all", "value": known, "low": low, "high": high, "n": n}
