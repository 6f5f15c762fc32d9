"""Rows of metrics with their intervals: statistics that are functions of sums over rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from .bootstrap import resampled_sums
from .estimates import Estimate, spearman
from .intervals import Scale, interval_of_draws

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

Statistic: TypeAlias = "Callable[[Mapping[str, Array]], Array]"
"""A function from the sums of columns, by their names, to the value of a metric; ``n`` counts the
rows. Each sum is one number, or an array of shape (resamples,) for which the function gives as
many values: ``lambda sums: sums["right"] / sums["n"]``."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Scaled:
    """A statistic whose interval is not that of a mean or a difference, by the name of its scale
    (see ``intervals``)."""

    of: Statistic
    scale: Scale

    def __call__(self, sums: Mapping[str, Array]) -> Array:
        return self.of(sums)


def measured(
    columns: Mapping[str, Array],
    statistics: Mapping[str, Statistic],
    groups: Array,
    seed: int,
    subset: str = "all",
) -> list[dict[str, Any]]:
    """Compute rows of metrics of one subset: statistics of the sums of columns (each a number per
    row, and ``n``, their number) with the 95 % confidence interval of a bootstrap over ``groups``:
    expanded percentiles, unless the statistic is ``Scaled``."""
    named = {(metric, subset): of for metric, of in statistics.items()}
    return measured_together(columns, named, groups, seed)


def measured_together(
    columns: Mapping[str, Array],
    statistics: Mapping[tuple[str, str], Statistic],
    groups: Array,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """Compute rows as ``measured`` does, by metric and subset, from the same resamples."""
    import numpy as np

    every = {"n": np.ones(len(groups)), **columns}
    totals = {name: np.asarray(values.sum()) for name, values in every.items()}
    drawn = resampled_sums(every, groups, resamples, seed)
    several = len(np.unique(groups))
    rows = []
    for (metric, subset), of in statistics.items():
        scale: Scale = of.scale if isinstance(of, Scaled) else "plain"
        value = float(of(totals))
        limits = interval_of_draws(value, of(drawn), several, scale)
        rows.append(number(metric, value, len(groups), *limits, subset))
    return rows


def estimated(
    estimates: Mapping[str, Estimate], groups: Array, freedom: float | None = None
) -> list[dict[str, Any]]:
    """Return rows of metrics: each estimate with its interval (``Estimate.interval``) and the
    number of rows."""
    return [
        number(name, estimate.value, len(groups), *estimate.interval(groups, freedom))
        for name, estimate in estimates.items()
    ]


def number(
    metric: str,
    value: float,
    n: int,
    low: float | None = None,
    high: float | None = None,
    subset: str = "all",
) -> dict[str, Any]:
    """Return one row of metrics; a value that cannot be computed is null."""
    finite = float(value) if isfinite(value) else None
    return {"metric": metric, "subset": subset, "value": finite, "low": low, "high": high, "n": n}


def wins(leads: Array) -> Array:
    """Return 1 where the lead is above 0, one half at a tie: the mean is the accuracy."""
    won: Array = (leads > 0) + 0.5 * (leads == 0)
    return won


def mean_of(name: str) -> Statistic:
    """Return the statistic that is the mean of a column."""
    return lambda sums: sums[name] / sums["n"]


def share_of(name: str) -> Statistic:
    """Return the statistic that is the mean of a column of numbers from 0 to 1, such as an
    accuracy."""
    return Scaled(mean_of(name), "share")


def r2_columns(target: Array, predicted: Array, name: str = "") -> dict[str, Array]:
    """Return the columns from which ``r2_of`` computes a share."""
    return {
        f"y {name}": target,
        f"y² {name}": target**2,
        f"error² {name}": (target - predicted) ** 2,
    }


def r2_of(name: str = "") -> Statistic:
    """Return the share of the variance explained, of ``r2_columns``; NaN where nothing varies."""

    import numpy as np

    def share(sums: Mapping[str, Array]) -> Array:
        y, squares, errors = (sums[f"{part} {name}"] for part in ("y", "y²", "error²"))
        spread = squares - y**2 / sums["n"]
        varies = spread > 1e-12 * np.maximum(squares, 1e-300)
        empty = np.full(np.shape(spread), np.nan)
        return np.asarray(1 - np.divide(errors, spread, out=empty, where=varies))

    return Scaled(share, "explained")


def middle_ranks(values: Array) -> Array:
    """Return ranks of finite numbers from 1; ties have the middle of theirs. (``scipy.stats`` has
    the same, and takes longer to import than many fits take.)"""
    import numpy as np

    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[index])


def rank_columns(left: Array, right: Array, name: str = "") -> dict[str, Array]:
    """Return the column whose mean ``spearman_of`` takes: the correlation of all rows and the
    influence of each row on it."""
    rank = spearman(left, right)
    return {f"rank correlation {name}": rank.value + rank.influence}


def spearman_of(name: str = "") -> Statistic:
    """Return Spearman's rank correlation, of ``rank_columns``; NaN where one side does not vary."""
    return Scaled(mean_of(f"rank correlation {name}"), "correlation")
