"""The search for penalties after which a reward has no rank correlation with a confound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.metric_rows import middle_ranks

PUBLISHED = (
    *(0.0, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15),
    *(round(0.05 * step, 2) for step in range(4, 20)),
)
"""The penalties of the published rule, in order."""
CYCLES, HALVINGS = 20, 40


def find_published_penalty(reward: Array, confound: Array, threshold: float) -> tuple[float, float]:
    """Find the first penalty with a rank correlation of at most the threshold, and that
    correlation; return 1 and the least correlation seen if there is none."""
    ranks = Ranks(confound)
    least = np.inf
    for penalty in PUBLISHED:
        correlation = ranks.correlation(reward - penalty * confound)
        least = min(least, correlation)
        if correlation <= threshold:
            return penalty, correlation
    return 1.0, float(least)


class Ranks:
    """The ranks of a confound, to correlate many rewards with."""

    def __init__(self, values: Array) -> None:
        centred = middle_ranks(values) - (len(values) + 1) / 2
        self.unit = centred / np.linalg.norm(centred)

    def correlation(self, values: Array) -> float:
        """Compute Spearman's rank correlation; 0 with values that are all the same."""
        centred = middle_ranks(values) - (len(values) + 1) / 2
        size = np.linalg.norm(centred)
        return float(self.unit @ centred / size) if size > 0 else 0.0


def find_penalties(
    reward: Array, confounds: Array, ranks: Sequence[Ranks], aim: float
) -> tuple[Array, Array]:
    """Find penalties (C,) after which the rank correlation with each confound is within ``aim`` of
    0. Starts at the slopes of least squares and corrects one confound after the other until all
    hold; also returns the remaining correlations."""
    scales = confounds.std(axis=0)
    centred = (confounds - confounds.mean(axis=0)) / scales
    slopes, *_ = np.linalg.lstsq(centred, reward - reward.mean(), rcond=None)
    for _ in range(CYCLES):
        left = np.array([rank.correlation(reward - centred @ slopes) for rank in ranks])
        worst = int(np.argmax(np.abs(left)))
        rest = reward - centred @ np.where(np.arange(len(ranks)) == worst, 0, slopes)
        before = float(slopes[worst])
        slopes[worst] = _root(rest, centred[:, worst], ranks[worst], before, aim)
        if slopes[worst] == before or len(ranks) == 1:
            break
    left = np.array([rank.correlation(reward - centred @ slopes) for rank in ranks])
    return slopes / scales, left


def _root(reward: Array, confound: Array, ranks: Ranks, start: float, aim: float) -> float:
    """Find the slope at which the rank correlation with the confound is 0, by bisection: the larger
    the slope, the lower the correlation."""

    def left(slope: float) -> float:
        return ranks.correlation(reward - slope * confound)

    if abs(left(start)) <= aim:
        return start
    width = max(abs(start), float(reward.std()), 1e-12) / 4
    low = high = start
    for _ in range(HALVINGS):
        if left(low) >= 0 >= left(high):
            break
        low, high = (low, high + width) if left(high) > 0 else (low - width, high)
        width *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        correlation = left(middle)
        if abs(correlation) <= aim:
            return middle
        low, high = (middle, high) if correlation > 0 else (low, middle)
    return (low + high) / 2
