"""Accuracy at equal length and markdown, by a logistic regression within pairs."""

from __future__ import annotations

import numpy as np

from rmplug.stats.bootstrap import Sums
from rmplug_bench._arrays import Floats
from rmplug_bench.baselines._text_measures import TextCounts

PENALTY = 1e-4
"""A pair's share of a ridge penalty: keeps a model that is always right at a finite number."""
STEPS = 50
SMALLEST_STEP = 1e-10
NAMES = ("equal", "length", "markdown")


def gaps(counts: TextCounts) -> Floats:
    """Compute scaled gaps, chosen minus rejected, in characters and in markdown marks.

    Over their root mean square and through tanh, so that a few very long responses do not decide:
    shape (pairs, 2).
    """
    each = counts.characters, counts.markdown_marks
    return np.stack([_scaled(count("chosen") - count("rejected")) for count in each], axis=1)


def _scaled(gap: Floats) -> Floats:
    size = np.sqrt((gap**2).mean()) if len(gap) else 0.0
    return np.tanh(gap / size) if size else np.zeros(len(gap))


def controlled_columns(
    right: Floats, x: Floats, weight: Floats, theta: Floats | None = None
) -> dict[str, Floats]:
    """Return columns whose sums give the accuracy at no gap, for any resample of the pairs.

    These are the gradient and the curvature of the penalised log-likelihood at the fit to all
    pairs, and that fit, which is ``theta`` where these are not all pairs.
    """
    z = np.column_stack([np.ones(len(right)), x])
    theta = fitted(right, x, weight) if theta is None else theta
    chance = _logistic(z @ theta)
    slope = (z * (right - chance)[:, None] - PENALTY * theta) * weight[:, None]
    columns = {f"slope-{name}": slope[:, i] for i, name in enumerate(NAMES)}
    for i, one in enumerate(NAMES):
        for j, two in enumerate(NAMES):
            bend = z[:, i] * z[:, j] * chance * (1 - chance) + PENALTY * (i == j)
            columns[f"bend-{one}-{two}"] = bend * weight
    return columns | {"fit-equal": np.full(len(right), theta[0]) * weight}


def fitted(right: Floats, x: Floats, counts: Floats) -> Floats:
    """Fit the regression by Newton's method: intercept and coefficients of the two gaps."""
    z = np.column_stack([np.ones(len(right)), x])
    theta, weight = np.zeros(z.shape[1]), counts / max(counts.sum(), 1)
    for _ in range(STEPS):
        chance = _logistic(z @ theta)
        slope = z.T @ (weight * (right - chance)) - PENALTY * theta
        bend = (z.T * (weight * chance * (1 - chance))) @ z + PENALTY * np.eye(len(theta))
        step = np.linalg.solve(bend, slope)
        theta = theta + step / max(1.0, float(np.abs(step).max()) / 4)
        if np.abs(step).max() < SMALLEST_STEP:
            break
    return theta


def accuracy_at_no_gap(sums: Sums) -> Floats:
    """Compute one Newton step from the fit to all pairs, in every resample at once."""
    n = np.asarray(sums["n"], dtype=np.float64)
    slope = np.stack([sums[f"slope-{name}"] for name in NAMES], axis=-1)
    bend = np.stack([sums[f"bend-{one}-{two}"] for one in NAMES for two in NAMES], axis=-1)
    bend = bend.reshape(*n.shape, len(NAMES), len(NAMES))
    bend = np.where((n > 0)[..., None, None], bend, np.eye(len(NAMES)))
    step = np.linalg.solve(bend, slope[..., None])[..., 0, 0]
    return np.where(n > 0, _logistic(sums["fit-equal"] / np.maximum(n, 1) + step), np.nan)


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))), dtype=np.float64)
