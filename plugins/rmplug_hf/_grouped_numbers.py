"""Folds and 95 % intervals that respect groups: rows of one prompt stay together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from rmplug.intervals import bounds, resampled_sums

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
REPLICATES = 1000


def deal_folds(groups: Array, folds: int, seed: int) -> Array:
    """A fold (0 … folds - 1) per row: groups, the largest first, are dealt to and fro."""
    sizes = np.bincount(groups)
    order = np.lexsort((np.random.default_rng(seed).random(len(sizes)), -sizes))
    rounds, place = np.divmod(np.arange(len(sizes)), folds)
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[order] = np.where(rounds % 2, folds - 1 - place, place)
    return np.asarray(fold[groups])


def measured(
    columns: Mapping[str, Array],
    statistics: Mapping[str, Callable[[Mapping[str, Array]], Array]],
    groups: Array,
    seed: int,
    subset: str = "all",
) -> list[dict[str, Any]]:
    """Rows of metrics: each statistic of the sums of columns over rows (``n`` is their number),
    with the interval of a bootstrap over groups."""
    every = {"n": np.ones(len(groups)), **columns}
    totals = {name: values.sum() for name, values in every.items()}
    drawn = resampled_sums(every, groups, REPLICATES, seed)
    return [
        number(name, float(of(totals)), len(groups), *bounds(of(drawn)), subset)
        for name, of in statistics.items()
    ]


def number(
    metric: str,
    value: float,
    n: int,
    low: float | None = None,
    high: float | None = None,
    subset: str = "all",
) -> dict[str, Any]:
    """One row of metrics; a value that cannot be computed is null."""
    known = float(value) if np.isfinite(value) else None
    return {"metric": metric, "subset": subset, "value": known, "low": low, "high": high, "n": n}


def mean_of(name: str) -> Callable[[Mapping[str, Array]], Array]:
    """The mean of a column, from sums."""
    return lambda sums: np.asarray(sums[name] / sums["n"])


def r2(sums: Mapping[str, Array]) -> Array:
    """Share of the variance explained, from the sums of ``target``, ``target²`` and ``error²``."""
    spread = sums["target²"] - sums["target"] ** 2 / sums["n"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > 0, 1 - sums["error²"] / spread, np.nan))
