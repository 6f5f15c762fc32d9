"""The share of wrong labels, from margins of a model that did not see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmplug.stats.intervals import NO_BOUND, Bounds, group_variance, t_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 40
"""Bins of equal counts in which margins are taken as one: their likelihood is one of sums."""
SHARES = np.linspace(0, 0.5, 101)
SLOPES = np.geomspace(0.02, 50, 60)
"""The grid of the likelihood; slopes per median margin."""
LEAST = 0.005
UNTOLD = 0.3
"""The width of an interval of the share from which it says nothing; 0.5 is all there is."""


@dataclass(frozen=True)
class WrongLabels:
    """The share of wrong labels, and the slope that makes margins log-odds."""

    share: float
    slope: float
    bounds: Bounds = NO_BOUND

    @property
    def is_told(self) -> bool:
        """Whether the margins say enough of labels to tell the share."""
        return is_told(*self.bounds)

    def probabilities(self, margins: Floats) -> Floats:
        """Return the probability that each label is wrong, by Bayes' rule."""
        share = min(0.5, max(self.share, LEAST))
        right = _logistic(self.slope * margins)
        against = share * (1 - right)
        return against / (against + (1 - share) * right)


def is_told(low: float | None, high: float | None) -> bool:
    """Check whether an interval of the share is narrow enough to tell it."""
    return low is not None and high is not None and high - low <= UNTOLD


def estimate_share(margins: Floats, groups: Ints) -> WrongLabels:
    """Return the most likely share and slope of P(label agrees) = w + (1 - 2 w) sigmoid(k m), with
    the interval of the share (of the given margins: the models that made them stay as they are).
    ``margins`` (rows,) speak for the label where above 0; margins of 0 say nothing.

    The interval has the shares whose likelihood, each with its own best slope, is close to the
    greatest: where margins say little of labels, that is nearly every share, and resampling would
    show only where the flat top of the likelihood happens to be highest."""
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
    right = _agreement(centres / middle)
    found = _log_likelihoods(right) @ np.concatenate([agreeing, totals - agreeing])
    best = int(np.argmax(found))
    share, slope = SHARES[best // len(SLOPES)], SLOPES[best % len(SLOPES)] / middle
    bounds = _bounds(found.reshape(len(SHARES), -1).max(axis=1), margins > 0, right[best][bins],
                     groups)  # fmt: skip
    return WrongLabels(float(share), float(slope), bounds)


def _bounds(
    profile: Floats, agrees: npt.NDArray[np.bool_], expected: Floats, groups: Ints
) -> Bounds:
    """Return the shares around those that a likelihood-ratio test does not rule out; groups count
    as much less than their rows as they vary more. None for fewer than 2 groups."""
    number = len(np.unique(groups))
    if number < 2:
        return NO_BOUND
    errors = agrees - expected
    alone = float((expected * (1 - expected)).sum()) / len(errors) ** 2
    design = group_variance(errors - errors.mean(), groups) / alone if alone > 0 else 1.0
    far = t_quantile(number - 1) ** 2 * max(1.0, design) / 2
    inside = np.flatnonzero(profile >= profile.max() - far)
    low, high = max(0, inside[0] - 1), min(len(SHARES) - 1, inside[-1] + 1)
    return float(SHARES[low]), float(SHARES[high])


def _agreement(sizes: Floats) -> Floats:
    """Return the probability of agreement in each bin, for each share and slope: shape (shares *
    slopes, bins)."""
    right = _logistic(SLOPES[None, :, None] * sizes[None, None, :])
    wrong = SHARES[:, None, None]
    return np.asarray((wrong + (1 - 2 * wrong) * right).reshape(len(SHARES) * len(SLOPES), -1))


def _log_likelihoods(agreement: Floats) -> Floats:
    """Return the log-probability of agreement, then of disagreement: shape (…, 2 * bins)."""
    both = np.concatenate([agreement, 1 - agreement], axis=1)
    return np.asarray(np.log(np.maximum(both, 1e-12)))


def _logistic(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))
