"""Rank correlations and medians of weighted rows, for many sets of weights at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rmplug.stats.bootstrap import bounds, weight_blocks

from ._bootstrap import Bounds, Floats, Ints

Weighted = Callable[[Floats], Floats]
"""From weights of shape (resamples, rows) to one number per resample."""


class Ranked:
    """Values whose average ranks are taken anew under every set of weights."""

    def __init__(self, values: Floats) -> None:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        new = np.ones(len(values), dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        self.order, self.starts = order, np.flatnonzero(new)
        self.place = np.empty(len(values), dtype=np.int64)
        self.place[order] = np.cumsum(new) - 1
        self._seen: Floats | None = None

    def centred(self, weights: Floats) -> tuple[Floats, Floats]:
        """Ranks less their weighted mean, and the square root of their weighted sum of squares:
        kept until other weights come, as each is correlated with many."""
        if weights is not self._seen:
            ranks = self._ranks(weights)
            total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
            ranks -= (weights * ranks).sum(axis=1, keepdims=True) / total
            spread = np.sqrt((weights * ranks * ranks).sum(axis=1))
            self._seen, self._found = weights, (ranks, spread)
        return self._found

    def _ranks(self, weights: Floats) -> Floats:
        tied = weights[:, self.order]
        if 0 < len(self.starts) < tied.shape[1]:
            tied = np.add.reduceat(tied, self.starts, axis=1)
        return np.asarray((np.cumsum(tied, axis=1) - tied / 2)[:, self.place])


def spearman(x: Ranked, y: Ranked) -> Weighted:
    """Rank correlation with average ranks; NaN where one side is constant."""

    def weighted(weights: Floats) -> Floats:
        (a, of_a), (b, of_b) = x.centred(weights), y.centred(weights)
        spread = of_a * of_b
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (weights * a * b).sum(axis=1) / spread
        return np.asarray(np.where(spread > 1e-9, found, np.nan))

    return weighted


def median(values: Floats) -> Weighted:
    """The middle value, or the mean of the two in the middle."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]

    def weighted(weights: Floats) -> Floats:
        reached = np.cumsum(weights[:, order], axis=1)
        half = reached[:, -1:] / 2 if len(ordered) else np.zeros((len(weights), 1))
        low, high = ((reached < half).sum(axis=1), (reached <= half).sum(axis=1))
        last = max(len(ordered) - 1, 0)
        if not len(ordered):
            return np.full(len(weights), np.nan)
        return np.asarray((ordered[np.minimum(low, last)] + ordered[np.minimum(high, last)]) / 2)

    return weighted


def measured(
    statistics: Mapping[str, Weighted], groups: Ints, resamples: int, seed: list[int]
) -> dict[str, tuple[float, Bounds]]:
    """Each statistic of the rows as they are, and its 95 % bounds over resamples of groups."""
    ones = np.ones((1, len(groups)))
    number = len(np.unique(groups))
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    if number > 1:
        for weights in weight_blocks(groups, resamples, seed):
            for name, statistic in statistics.items():
                drawn[name].append(statistic(weights))
    return {
        name: (
            float(statistic(ones)[0]),
            bounds(np.concatenate(drawn[name]), number) if number > 1 else (None, None),
        )
        for name, statistic in statistics.items()
    }
