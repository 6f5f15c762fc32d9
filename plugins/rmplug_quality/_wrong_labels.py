"""The share of wrong labels, from margins of a model that did not see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.intervals import NO_BOUND, Bounds, percentile_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 40
"""Bins of equal counts in which margins are taken as one: their likelihood is one of sums, which
resamples of groups have too."""
SHARES = np.linspace(0, 0.5, 101)
SLOPES = np.geomspace(0.02, 50, 60)
"""The grid of the likelihood; slopes per median margin."""
AT_ONCE = 100
LEAST = 0.005


@dataclass(frozen=True)
class WrongLabels:
    """The share of wrong labels, and the slope that makes margins log-odds."""

    share: float
    slope: float
    bounds: Bounds = NO_BOUND

    def probabilities(self, margins: Floats) -> Floats:
        """Return the probability that each label is wrong, by Bayes' rule."""
        share = min(0.5, max(self.share, LEAST))
        right = _logistic(self.slope * margins)
        against = share * (1 - right)
        return against / (against + (1 - share) * right)


def estimate_share(margins: Floats, groups: Ints, resamples: int, seed: int) -> WrongLabels:
    """Return the most likely share and slope of P(label agrees) = w + (1 - 2 w) sigmoid(k m), with
    the interval of the share by resampling groups (of the given margins: the models that made them
    stay as they are). ``margins`` (rows,) speak for the label where above 0; margins of 0 say
    nothing."""
    apart = margins != 0
    margins, groups = margins[apart], groups[apart]
    if not len(margins):
        return WrongLabels(float("nan"), 1.0)
    sizes = np.abs(margins)
    middle = float(np.median(sizes))
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, sizes, side="left")
    count = len(edges) + 1
    totals = np.bincount(bins, minlength=count)
    centres = np.bincount(bins, sizes, minlength=count) / np.maximum(totals, 1)
    agreeing = np.bincount(bins, margins > 0, minlength=count)
    sums = np.concatenate([agreeing, totals - agreeing])[None]
    scores = _log_likelihoods(centres / middle)
    best = int(np.argmax(scores @ sums[0]))
    share, slope = SHARES[best // len(SLOPES)], SLOPES[best % len(SLOPES)] / middle
    number = len(np.unique(groups))
    if number < 2 or not resamples:
        return WrongLabels(float(share), float(slope))
    columns = {
        f"{side} {one}": ((bins == one) & ((margins > 0) == side)).astype(np.float64)
        for side in (True, False)
        for one in range(count)
    }
    drawn = np.stack(list(resampled_sums(columns, groups, resamples, seed).values()), axis=1)
    shares = [
        SHARES[np.argmax(drawn[start : start + AT_ONCE] @ scores.T, axis=1) // len(SLOPES)]
        for start in range(0, len(drawn), AT_ONCE)
    ]
    low, high = percentile_interval(np.concatenate(shares), number)
    return WrongLabels(float(share), float(slope), (low, high))


def _log_likelihoods(sizes: Floats) -> Floats:
    """Return the log-probability of agreement and of disagreement in each bin, for each share and
    slope: shape (shares * slopes, 2 * bins)."""
    right = _logistic(SLOPES[None, :, None] * sizes[None, None, :])
    wrong = SHARES[:, None, None]
    agree = wrong + (1 - 2 * wrong) * right
    both = np.concatenate([agree, 1 - agree], axis=2)
    made = np.log(np.maximum(both, 1e-12))
    return np.asarray(made.reshape(len(SHARES) * len(SLOPES), -1))


def _logistic(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))
