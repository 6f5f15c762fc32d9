"""Whether a margin's confidence, sigmoid(|margin|), is how often it is right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._bootstrap import NO_BOUND, Bounds, Floats, Ints, Sums, intervals

BINS = 10


def right(margin: Floats) -> Floats:
    """1 where the chosen response is preferred, one half for a tie, NaN without a margin."""
    return (np.sign(margin) + 1) / 2


def confidence_bins(margin: Floats) -> tuple[Floats, Ints]:
    """sigmoid(|margin|), and its tenth of 0.5 to 1, from 0 to 9."""
    confidence = 1 / (1 + np.exp(-np.abs(margin)))
    return confidence, np.minimum((confidence - 0.5) * 2 * BINS, BINS - 1).astype(np.int64)


def calibration_error(margin: Floats) -> float:
    """Mean over pairs of their bin's |accuracy - confidence|."""
    if not len(margin):
        return np.nan
    confidence, bins = confidence_bins(margin)
    return float(np.abs(np.bincount(bins, right(margin) - confidence)).sum() / len(margin))


def calibration_bounds(margin: Floats, groups: Ints, resamples: int, seed: list[int]) -> Bounds:
    """The interval of the calibration error: it costs ten sums a pair."""
    confidence, bins = confidence_bins(margin)
    off = right(margin) - confidence
    parts = {str(k): np.where(bins == k, off, 0.0) for k in range(BINS)}
    columns = {"n": np.ones(len(off)), **parts}
    return intervals(columns, groups, _error_of_parts, resamples, seed).get("ece", NO_BOUND)


def _error_of_parts(sums: Sums) -> dict[str, Floats]:
    parts = np.stack([np.abs(sums[str(k)]) for k in range(BINS)])
    return {"ece": parts.sum(axis=0) / sums["n"]}


def reliability(
    margin: Floats, groups: Ints, resamples: int, seed: int
) -> Iterator[tuple[str, float, Bounds, float, int]]:
    """Per bin that has pairs: its name, accuracy with bounds, mean confidence, and pairs."""
    confidence, bins = confidence_bins(margin)
    preferred = right(margin)
    for k in np.unique(bins):
        inside = bins == k
        drawn = [seed, 1_000_000 + int(k)]
        bound = share_interval(preferred[inside], groups[inside], resamples, drawn)
        accuracy, mean = float(preferred[inside].mean()), float(confidence[inside].mean())
        yield f"bin-{k + 1:02d}", accuracy, bound, mean, int(inside.sum())


def share_interval(values: Floats, groups: Ints, resamples: int, seed: list[int]) -> Bounds:
    """The interval of the mean of numbers from 0 to 1."""
    columns = {"n": np.ones(len(values)), "x": values}
    return intervals(columns, groups, _mean, resamples, seed, ("mean",)).get("mean", NO_BOUND)


def _mean(sums: Sums) -> dict[str, Floats]:
    return {"mean": sums["x"] / sums["n"]}
