"""95 % intervals, a function for each construction.

| construction | for |
|---|---|
| ``wilson_interval`` | shares, from 0 to 1: accuracies, AUC |
| ``percentile_interval`` | means, differences and all else that is resampled |
| ``t_interval`` | statistics with a scale of their own: correlations, R², errors |
| ``explained_interval`` | R² of predictions that are known, and what some add to others' |
| ``median_interval`` | medians |
| ``fold_interval`` | numbers that each fold of a cross-validation has for itself |

All count groups of rows (prompts) as the independent observations, never rows, and are wider where
groups are few. ``benchmarks/coverage.py`` and ``benchmarks/coverage_fits.py`` show how often they
hold the truth.
"""

from __future__ import annotations

from math import atanh, exp, isfinite, log, sqrt, tanh
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, TypeAlias

from rmplug.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Callable

Bounds: TypeAlias = tuple[float | None, float | None]
NO_BOUND: Bounds = (None, None)
Scale: TypeAlias = Literal["plain", "share", "positive", "explained", "correlation"]
"""The range of a statistic: without limits, from 0 to 1, above 0, up to 1, from -1 to 1."""


def interval_of_draws(value: float, draws: Array, groups: int, scale: Scale = "plain") -> Bounds:
    """Compute the interval of a statistic from its values in bootstrap resamples of ``groups``
    groups, by the construction for its scale; none for fewer than 2 groups."""
    import numpy as np

    if scale == "plain":
        return percentile_interval(draws, groups)
    finite = draws[np.isfinite(draws)]
    if groups < 2 or not len(finite) or not isfinite(value):
        return NO_BOUND
    variance = float(finite.var()) * groups / (groups - 1)
    if scale == "share":
        return wilson_interval(value, variance, groups)
    return t_interval(value, variance, groups - 1, scale)


def percentile_interval(draws: Array, groups: int) -> Bounds:
    """Compute the expanded percentile interval (Hesterberg, 2015, The American Statistician 69):
    the middle of the draws in which the statistic exists, as much wider than 95 % as a t interval
    with the unbiased variance is than a normal one with the plain variance. None for fewer than 2
    groups."""
    import numpy as np

    finite = draws[np.isfinite(draws)]
    if groups < 2 or not len(finite):
        return NO_BOUND
    tail = NormalDist().cdf(-t_quantile(groups - 1) * sqrt(groups / (groups - 1)))
    low, high = np.quantile(finite, (tail, 1 - tail))
    return float(low), float(high)


def share_interval(share: float, draws: Array, groups: int) -> Bounds:
    """Compute Wilson's interval of a share with the variance of its bootstrap draws."""
    return interval_of_draws(share, draws, groups, "share")


def wilson_interval(
    share: float, variance: float, groups: int, freedom: float | None = None
) -> Bounds:
    """Compute Wilson's interval (1927, JASA 22) of a share, with the design effect of groups: as
    many observations as would vary like ``variance``, and a t quantile (Korn and Graubard, 1998,
    Survey Methodology 24). It never leaves 0 to 1 and is never empty: where nothing varies, each
    group is one observation. ``freedom`` is ``groups - 1`` by default. None for fewer than 2
    groups."""
    if groups < 2 or not isfinite(share):
        return NO_BOUND
    spread = max(share * (1 - share), 0.0)
    square = t_quantile(groups - 1 if freedom is None else freedom) ** 2
    number = spread / variance if spread > 1e-12 and variance > 1e-12 * spread else float(groups)
    middle = (share + square / 2 / number) / (1 + square / number)
    half = sqrt(square * (spread / number + square / 4 / number**2)) / (1 + square / number)
    # at a share of 0 or 1 an end is the share itself, but for rounding
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def t_interval(value: float, variance: float, freedom: float, scale: Scale) -> Bounds:
    """Compute Student's interval on the scale on which the statistic is closest to normal (the
    delta method), transformed back: Fisher's z for correlations, log(1 - x) for R², log for errors
    above 0. A value at the end of its scale, which does not vary, is its own interval."""
    change, back, slope = SCALES[scale]
    if not isfinite(value) or not isfinite(variance):
        return NO_BOUND
    if not _is_inside(value, scale):
        return value, value
    half = t_quantile(freedom) * sqrt(variance) * slope(value)
    ends = sorted((back(change(value) - half), back(change(value) + half)))
    return ends[0], ends[1]


def explained_interval(value: float, size: float, variance: float, freedom: float) -> Bounds:
    """Compute Student's interval of an R², or of what predictions add to that of others, on the
    scale of Fisher's z of its root. An R² is a square: near 0 its standard error grows with it, and
    an interval with equal sides ends too early above.

    ``size`` is the mean square of the predictions (of what they change) over that of the target.
    It is the R² plus what errors of the weights add, never below 0, and the standard error goes
    with its root: so the root is taken of it, and the interval moved by the difference."""
    if not isfinite(value) or not isfinite(variance):
        return NO_BOUND
    if not 0 < size < 1 - NEAR_END or value >= 1 - NEAR_END:
        return t_interval(value, variance, freedom, "explained")
    root, stretch = sqrt(size), (1 - value) / (1 - size)
    half = t_quantile(freedom) * sqrt(variance) / (2 * root * (1 - value))
    low, high = (tanh(max(0.0, atanh(root) + change)) ** 2 for change in (-half, half))
    return value + (low - size) * stretch, value + (high - size) * stretch


def difference_interval(value: float, bounds: Bounds, other: float, others: Bounds) -> Bounds:
    """Compute the interval of ``value - other`` from the intervals of two independent statistics
    (Zou and Donner, 2008, Statistics in Medicine 27), whatever their constructions. Of statistics
    on the same rows, which go up and down together, it is wider than need be. None where one of
    the two has no interval."""
    if None in (*bounds, *others):
        return NO_BOUND
    low, high, other_low, other_high = (float(one or 0) for one in (*bounds, *others))
    middle = value - other
    below = sqrt((value - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - value) ** 2 + (other - other_low) ** 2)
    return middle - below, middle + above


def median_interval(values: Array, groups: Array) -> Bounds:
    """Compute Woodruff's interval of a median (1952, JASA 47): the quantiles at the ends of the
    interval of the share of values below it, whose variance is that of groups."""
    import numpy as np

    number = len(np.unique(groups))
    if number < 2:
        return NO_BOUND
    middle = float(np.median(values))
    below = (values < middle) + 0.5 * (values == middle)
    half = t_quantile(number - 1) * sqrt(group_variance(below - below.mean(), groups))
    low, high = np.quantile(values, (max(0.0, 0.5 - half), min(1.0, 0.5 + half)))
    return float(low), float(high)


def fold_interval(by_fold: Array) -> Bounds:
    """Compute Student's interval of the mean of a number that each fold of a cross-validation has,
    with the correction for models that share training rows (Nadeau and Bengio, 2003, Machine
    Learning 52). Folds without the number are left out; none for fewer than 2."""
    import numpy as np

    finite = by_fold[np.isfinite(by_fold)]
    folds = len(finite)
    if folds < 2:
        return NO_BOUND
    variance = float(finite.var(ddof=1)) * (1 / folds + 1 / (folds - 1))
    return t_interval(float(finite.mean()), variance, folds - 1, "plain")


def held_out_freedom(groups: int, folds: int) -> int:
    """Return the degrees of freedom of numbers out of fold: those of the groups of one fold, at
    least 2. The models of the folds differ by chance, which the held-out rows do not show; this
    widens as much as that takes where groups are few, and by less than 2 % from 200 on."""
    return max(2, groups // folds - 1)


def group_variance(influence: Array, groups: Array) -> float:
    """Compute the variance of a statistic whose rows have this influence on it (the mean of which
    is 0): that of the sums over groups (the sandwich estimator with the factor G / (G - 1))."""
    import numpy as np

    _, numbered = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbered, influence)
    if len(sums) < 2:
        return float("nan")
    return float((sums @ sums) / len(influence) ** 2 * len(sums) / (len(sums) - 1))


def t_quantile(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t. (``scipy.stats`` has the same, and takes longer to
    import than most intervals take.)"""
    exact = {1: 12.706204736, 2: 4.302652730, 3: 3.182446305, 4: 2.776445105}
    if freedom in exact:
        return exact[int(freedom)]
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _exp(value: float) -> float:
    return exp(min(value, 700.0))


Change: TypeAlias = "Callable[[float], float]"
SCALES: dict[Scale, tuple[Change, Change, Change]] = {
    "plain": (float, float, lambda _: 1.0),
    "positive": (log, _exp, lambda value: 1 / value),
    "explained": (lambda v: log(1 - v), lambda v: 1 - _exp(v), lambda v: 1 / (1 - v)),
    "correlation": (atanh, tanh, lambda value: 1 / (1 - value**2)),
}
"""The change to a scale, the change back, and the size of the former's slope."""
NEAR_END = 1e-12


def _is_inside(value: float, scale: Scale) -> bool:
    """Check whether a value is finite on its scale."""
    if scale == "positive":
        return value > 0
    if scale == "explained":
        return value < 1 - NEAR_END
    return scale == "plain" or abs(value) < 1 - NEAR_END
