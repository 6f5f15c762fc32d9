"""Calibration: the difference of a margin's confidence, sigmoid(|margin|), and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rmplug.arrays import Array

from .estimates import Estimate, mean
from .folds import deal_folds
from .intervals import NO_BOUND, Bounds, group_variance

BINS = 10
REMAINDER = 0.34262361824657
"""The mean of sqrt(max(z² - 1, 0)) for a standard normal z."""


def right(margin: Array) -> Array:
    """Return 1 where the chosen response is preferred, one half for a tie, NaN without a margin."""
    import numpy as np

    return (np.sign(margin) + 1) / 2


def confidence_bins(margin: Array) -> tuple[Array, Array]:
    """Compute sigmoid(|margin|), and its tenth of 0.5 to 1, from 0 to 9."""
    import numpy as np

    confidence = 1 / (1 + np.exp(-np.abs(margin)))
    return confidence, np.minimum((confidence - 0.5) * 2 * BINS, BINS - 1).astype(np.int64)


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error: debiased with its bounds, the usual plug-in estimate, and what
    the debiased one is on average for a model that is exactly calibrated."""

    debiased: float
    bounds: Bounds
    plug_in: float
    by_chance: float


def calibration_error(margin: Array, groups: Array, seed: int) -> CalibrationError:
    """Compute the mean over pairs of their bin's |accuracy - confidence|, ten bins.

    The usual estimate puts in what each bin happens to show and is too high, as chance alone makes
    a bin differ. From the square of each bin's difference the variance of that difference over
    groups is taken away (Kumar, Liang and Ma, 2019, for the squared error), down to 0. As chance
    also makes bins differ by more than their variance, never by less than nothing, a model that is
    exactly calibrated reads ``by_chance``, not 0: with normal differences, ``REMAINDER`` times the
    standard deviation of each bin's.
    """
    import numpy as np

    if not len(margin):
        return CalibrationError(np.nan, NO_BOUND, np.nan, np.nan)
    confidence, bins = confidence_bins(margin)
    off = right(margin) - confidence
    apart = np.bincount(bins, off, minlength=BINS) / len(off)
    noise = np.array([_variance(off * (bins == k), groups) for k in range(BINS)])
    debiased = float(np.sqrt(np.maximum(apart**2 - noise, 0)).sum())
    plug_in = float(np.abs(apart).sum())
    low, high = _bounds(off, bins, apart, groups, seed)
    if low is None or high is None:
        return CalibrationError(plug_in, NO_BOUND, plug_in, np.nan)
    bounds = min(low, debiased), max(high, debiased)
    by_chance = REMAINDER * float(np.sqrt(noise).sum())
    return CalibrationError(debiased, bounds, plug_in, by_chance)


def _variance(values: Array, groups: Array) -> float:
    """Compute the variance of the mean over groups; 0 for a single group."""
    import numpy as np

    return float(np.nan_to_num(group_variance(values - values.mean(), groups)))


def _bounds(off: Array, bins: Array, apart: Array, groups: Array, seed: int) -> Bounds:
    """Compute bounds from an estimate never too high on average to one never too low.

    Below, the pairs of each half of the groups count with the signs that their bins have in the
    other half, so that chance adds nothing; above, with the signs of their own bins, which gives
    the usual estimate. The ends are those of the intervals of these two means. Where a model is
    calibrated, either half turns on the other's signs, which adds 2/pi to the variance below.
    """
    import numpy as np

    names, numbered = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return NO_BOUND
    half = deal_folds(numbered, 2, seed)
    sums = np.bincount(half * BINS + bins, off, minlength=2 * BINS).reshape(2, BINS)
    crossed = mean(off * np.sign(sums[::-1])[half, bins])
    wider = Estimate(crossed.value, crossed.influence * np.sqrt(1 + 2 / np.pi), "plain")
    low, _ = wider.interval(groups)
    _, high = mean(off * np.sign(apart)[bins]).interval(groups)
    return None if low is None else max(low, 0.0), None if high is None else min(high, 1.0)


def reliability(margin: Array, groups: Array) -> Iterator[tuple[str, float, Bounds, float, int]]:
    """Yield, per bin with pairs, its name, accuracy with bounds, mean confidence, and number of
    pairs."""
    import numpy as np

    confidence, bins = confidence_bins(margin)
    preferred = right(margin)
    for k in np.unique(bins):
        inside = bins == k
        accuracy = mean(preferred[inside], "share")
        bounds = accuracy.interval(groups[inside])
        sure = float(confidence[inside].mean())
        yield f"bin-{k + 1:02d}", accuracy.value, bounds, sure, int(inside.sum())
