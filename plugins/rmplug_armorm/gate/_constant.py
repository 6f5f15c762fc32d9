"""Weights that are the same for every prompt: fitted by Bradley-Terry, or all equal."""

from __future__ import annotations

import numpy as np

from rmplug.arrays import Array

STEPS, CLOSE = 100, 1e-10


def fit_weights(lead: Array, margins: Array, weights: Array, l2: float) -> Array:
    """Fit weights (K,) that minimise the mean of ``-log sigmoid(lead @ w - margin)`` plus ``l2 /
    2`` times their squares, with each column of ``lead`` in units of its root mean square. Newton's
    method, each step halved until it lowers the loss."""
    sizes = np.sqrt(np.maximum((lead**2).mean(axis=0), 1e-300))
    rows = np.where(sizes > 1e-100, lead / sizes, 0)
    share = weights / weights.sum()
    w, loss = np.zeros(rows.shape[1]), np.inf

    def cost(w: Array) -> float:
        return float(share @ np.logaddexp(0, margins - rows @ w) + l2 / 2 * w @ w)

    loss = cost(w)
    for _ in range(STEPS):
        doubt = 1 / (1 + np.exp(np.clip(rows @ w - margins, -700, 700)))
        gradient = -rows.T @ (share * doubt) + l2 * w
        curve = (rows.T * (share * doubt * (1 - doubt))) @ rows + l2 * np.eye(len(w))
        step = np.linalg.solve(curve, gradient)
        size = 1.0
        while cost(w - size * step) > loss and size > 1e-8:
            size /= 2
        w, before, loss = w - size * step, loss, cost(w - size * step)
        if before - loss < CLOSE:
            break
    return np.asarray(np.where(sizes > 1e-100, w / sizes, 0))


def fit_scale(score: Array, margins: Array, weights: Array) -> float:
    """Fit the factor of a score with the least Bradley-Terry loss."""
    return float(fit_weights(score[:, None], margins, weights, 1e-6)[0])
