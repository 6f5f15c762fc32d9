"""Rows of metrics with their intervals: statistics that are functions of sums over rows."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from .bootstrap import bounds, resampled_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

Statistic: TypeAlias = "Callable[[Mapping[str, Array]], Array]"
"""What is made of the sums of columns, for one resample or for many at once."""
RESAMPLES = 1000


def measured(
    columns: Mapping[str, Array],
    statistics: Mapping[str, Statistic],
    groups: Array,
    seed: int,
    subset: str = "all",
) -> list[dict[str, Any]]:
    """Rows of metrics of one subset: statistics of the sums of columns (each a number per row, and
    ``n``, their number) with the 95 % interval of a bootstrap over ``groups``."""
    named = {(metric, subset): of for metric, of in statistics.items()}
    return measured_together(columns, named, groups, seed)


def measured_together(
    columns: Mapping[str, Array],
    statistics: Mapping[tuple[str, str], Statistic],
    groups: Array,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """As ``measured``, by metric and subset, from the same resamples."""
    import numpy as np

    every = {"n": np.ones(len(groups)), **columns}
    totals = {name: np.asarray(values.sum()) for name, values in every.items()}
    drawn = resampled_sums(every, groups, resamples, seed)
    return [
        number(metric, float(of(totals)), len(groups), *bounds(of(drawn)), subset)
        for (metric, subset), of in statistics.items()
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
    known = float(value) if isfinite(value) else None
    return {"metric": metric, "subset": subset, "value": known, "low": low, "high": high, "n": n}


def wins(leads: Array) -> Array:
    """1 where the lead is above 0, one half at a tie: the mean is the accuracy."""
    found: Array = (leads > 0) + 0.5 * (leads == 0)
    return found


def mean_of(name: str) -> Statistic:
    """The mean of a column."""
    return lambda sums: sums[name] / sums["n"]


def r2_columns(target: Array, predicted: Array, name: str = "") -> dict[str, Array]:
    """The columns that ``r2_of`` makes a share of."""
    return {
        f"y {name}": target,
        f"y² {name}": target**2,
        f"error² {name}": (target - predicted) ** 2,
    }


def r2_of(name: str = "") -> Statistic:
    """Share of the variance explained, of ``r2_columns``; NaN where nothing varies."""

    import numpy as np

    def share(sums: Mapping[str, Array]) -> Array:
        y, squares, errors = (sums[f"{part} {name}"] for part in ("y", "y²", "error²"))
        spread = squares - y**2 / sums["n"]
        known = spread > 1e-12 * np.maximum(squares, 1e-300)
        empty = np.full(np.shape(spread), np.nan)
        return np.asarray(1 - np.divide(errors, spread, out=empty, where=known))

    return share


def middle_ranks(values: Array) -> Array:
    """Ranks of finite numbers from 1; ties have the middle of theirs. (``scipy.stats`` has the
    same, and takes longer to import than many fits take.)"""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def rank_columns(left: Array, right: Array, name: str = "") -> dict[str, Array]:
    """The columns that ``spearman_of`` makes a correlation of; ranks are those of all rows."""
    a, b = (
        (middle_ranks(values) - (len(values) + 1) / 2) / len(values) for values in (left, right)
    )
    named = {"a": a, "b": b, "aa": a * a, "bb": b * b, "ab": a * b}
    return {f"{part} of {name}": values for part, values in named.items()}


def spearman_of(name: str = "") -> Statistic:
    """Spearman's rank correlation, of ``rank_columns``; NaN where one side does not vary."""

    import numpy as np

    def correlate(sums: Mapping[str, Array]) -> Array:
        a, b, aa, bb, ab = (sums[f"{part} of {name}"] for part in ("a", "b", "aa", "bb", "ab"))
        n = sums["n"]
        spread = np.sqrt(np.maximum(aa - a * a / n, 0) * np.maximum(bb - b * b / n, 0))
        empty = np.full(np.shape(spread), np.nan)
        return np.asarray(np.divide(ab - a * b / n, spread, out=empty, where=spread > 1e-12))

    return correlate
