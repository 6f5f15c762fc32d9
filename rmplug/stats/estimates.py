"""Statistics of rows with the influence of each row, which gives their intervals without resampling.

The influence of a row is by how much the statistic would grow, in n-ths, if the row counted one
more time (the infinitesimal jackknife; Efron, 1982). Its mean over the rows is 0. Each statistic
costs one or two sorts of the rows.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

from rmplug.arrays import Array

from .intervals import (
    NO_BOUND,
    Bounds,
    Scale,
    explained_interval,
    group_variance,
    t_interval,
    wilson_interval,
)


@dataclass(frozen=True)
class Estimate:
    """A number, the influence of each row on it, and the scale on which it is close to normal."""

    value: float
    influence: Array
    scale: Scale
    size: float | None = None
    """The size of predictions, for ``explained_interval``."""
    more: float = 0.0
    """Variance that the influence of the rows does not hold, such as that of what was learnt."""

    def interval(self, groups: Array, freedom: float | None = None) -> Bounds:
        """Return 95 % bounds from the sums over groups; ``freedom`` is their number less 1 by
        default; none for fewer than 2 groups or where the statistic does not exist."""
        import numpy as np

        number = len(np.unique(groups))
        if number < 2 or not np.isfinite(self.value):
            return NO_BOUND
        variance = group_variance(self.influence, groups) + self.more
        freedom = number - 1 if freedom is None else freedom
        if self.size is not None:
            return explained_interval(self.value, self.size, variance, freedom)
        if self.scale == "share":
            return wilson_interval(self.value, variance, number, freedom)
        return t_interval(self.value, variance, freedom, self.scale)


def mean(values: Array, scale: Scale = "plain") -> Estimate:
    """Estimate the mean; NaN of nothing."""
    value = float(values.mean()) if len(values) else float("nan")
    return Estimate(value, values - value, scale)


def explained_variance(target: Array, predicted: Array) -> Estimate:
    """Estimate R²: 1 less the mean squared error over the variance; NaN where the target does not
    vary."""
    import numpy as np

    n = max(len(target), 1)
    errors, squares = (target - predicted) ** 2, (target - target.sum() / n) ** 2
    error, spread = float(errors.sum()) / n, float(squares.sum()) / n
    if spread <= 1e-12 * max(float(target @ target) / n, 1e-300):
        return Estimate(float("nan"), np.full(len(target), np.nan), "explained")
    ratio = error / spread
    return Estimate(1 - ratio, -(errors - ratio * squares) / spread, "explained")


def spearman(left: Array, right: Array) -> Estimate:
    """Estimate Spearman's rank correlation, ties at their middle rank; NaN where one side does not
    vary.

    A row changes the correlation of ranks by its own ranks, and by those of the rows above it.
    """
    import numpy as np

    one, two = Ranking.of(left), Ranking.of(right)
    a, b, n = one.centred, two.centred, max(len(left), 1)
    sizes = float(a @ a) / n, float(b @ b) / n, float(a @ b) / n
    spread = np.sqrt(sizes[0] * sizes[1])
    if not spread > 1e-12:
        return Estimate(float("nan"), np.full(len(left), np.nan), "correlation")
    value = sizes[2] / spread
    of_both = a * b + one.above(b) + two.above(a)
    of_left, of_right = a * a + 2 * one.above(a), b * b + 2 * two.above(b)
    influence = of_both / spread - value / 2 * (of_left / sizes[0] + of_right / sizes[1])
    return Estimate(float(value), influence - influence.mean(), "correlation")


def area_under_curve(higher: Array, scores: Array) -> Estimate:
    """Estimate the chance that a row of the higher class scores above one of the lower, a tie one
    half; NaN where there is one class only. ``higher`` is true for the rows of the higher class."""
    import numpy as np

    high = higher.astype(bool)
    above, below = int(high.sum()), int((~high).sum())
    if not above or not below:
        return Estimate(float("nan"), np.full(len(scores), np.nan), "share")
    ranking = Ranking.of(scores)
    beaten = ranking.counts_below((~high).astype(float)) / below
    beating = 1 - ranking.counts_below(high.astype(float)) / above
    value = float(beaten[high].mean())
    rows = np.where(high, (beaten - value) / above, (beating - value) / below)
    return Estimate(value, rows * len(scores), "share")


@dataclass(frozen=True)
class Ranking:
    """Values by order: the number of each row's value among the distinct ones, and its middle rank
    as a share of the rows, less one half."""

    order: Array
    centred: Array

    @classmethod
    def of(cls, values: Array) -> Ranking:
        import numpy as np

        _, order, counts = np.unique(values, return_inverse=True, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / max(len(values), 1)
        return cls(order, middle[order] - 0.5)

    def counts_below(self, weights: Array) -> Array:
        """Return the summed weights of the rows with lower values, and half of those with the
        same."""
        import numpy as np

        sums = np.bincount(self.order, weights)
        counts: Array = (np.cumsum(sums) - sums / 2)[self.order]
        return counts

    def above(self, weights: Array) -> Array:
        """Return the mean over all rows of the weights of those above, and half of those with the
        same."""
        means: Array = (weights.sum() - self.counts_below(weights)) / len(weights)
        return means
