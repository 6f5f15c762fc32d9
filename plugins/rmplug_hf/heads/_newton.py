"""Linear models with a ridge penalty, several weightings of the same rows at once.

Rows are turned to their principal axes first, where the curvature is nearly diagonal; truncated
Newton steps by conjugate gradients then need few products, each of which serves all weightings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rmplug.arrays import Array

MOST_STEPS, MOST_PRODUCTS, SHORTEST_STEP = 60, 500, 1e-9


@dataclass(frozen=True)
class Axes:
    """Rows in the coordinates of their principal axes: ``rows`` (n, r) = rows (n, d) @ ``basis``
    (d, r), and the mean square of each coordinate, ``sizes`` (r,)."""

    rows: Array
    basis: Array
    sizes: Array


def principal_axes(rows: Array) -> Axes:
    """Change coordinates exactly; directions in which no row extends are left out."""
    count, width = rows.shape
    wide = width > count
    sizes, axes = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = sizes > max(float(sizes[-1]), 0) * 1e-13
    sizes, axes = sizes[kept], axes[:, kept]
    basis = rows.T @ (axes / np.sqrt(sizes)) if wide else axes
    turned = axes * np.sqrt(sizes) if wide else rows @ axes
    return Axes(turned, basis, sizes / max(count, 1))


class RowLoss(Protocol):
    """The loss of predictions (n, m) with targets (n, 1), and its derivatives."""

    def each(self, predicted: Array, target: Array) -> Array:
        """Return the loss of each prediction."""

    def slopes(self, predicted: Array, target: Array) -> tuple[Array, Array]:
        """Return the first and second derivative with respect to the prediction."""


@dataclass(frozen=True)
class Loss:
    """The loss of a prediction, with the target of each row: a margin or a rating."""

    kind: Literal["logistic", "squared"]

    def each(self, predicted: Array, target: Array) -> Array:
        """Return ``log(1 + exp(target - predicted))``, or half the squared difference."""
        apart = predicted - target
        if self.kind == "squared":
            return np.asarray(apart**2 / 2)
        return np.asarray(np.logaddexp(0, -apart))

    def slopes(self, predicted: Array, target: Array) -> tuple[Array, Array]:
        """Return the first and second derivative with respect to the prediction."""
        apart = predicted - target
        if self.kind == "squared":
            return apart, np.ones_like(apart)
        doubt = 0.5 * (1 - np.tanh(apart / 2))
        return -doubt, doubt * (1 - doubt)


def minimise(
    axes: Axes,
    loss: RowLoss,
    target: Array,
    shares: Array,
    l2: float | Array,
    start: Array,
    tolerance: float = 1e-9,
) -> Array:
    """Compute for each column of ``shares`` (n, m) the minimiser (r, m) of ``sum(share * loss) + l2
    / 2 * |w|²``, until the gradient is ``tolerance`` times what it is at zero. ``l2`` is one
    strength, or one for each column (m,)."""
    rows, w, column = axes.rows, start.copy(), target[:, None]
    predicted = rows @ w
    first = rows.T @ (shares * loss.slopes(np.zeros_like(predicted), column)[0])
    at_zero = np.maximum(np.linalg.norm(first, axis=0), 1e-300)
    for _ in range(MOST_STEPS):
        slope, bend = loss.slopes(predicted, column)
        gradient = rows.T @ (shares * slope) + l2 * w
        size = np.linalg.norm(gradient, axis=0)
        if (size <= tolerance * at_zero).all():
            break
        enough = np.maximum(np.minimum(0.25, size / at_zero) * size, tolerance * at_zero / 4)
        step = _newton_step(axes, shares * bend, l2, gradient, enough)
        ahead = rows @ step
        length = _lengths(loss, shares, predicted, ahead, column, w, step, l2, gradient)
        if not length.any():
            break
        w, predicted = w + length * step, predicted + length * ahead
    return w


def _newton_step(
    axes: Axes, bend: Array, l2: float | Array, gradient: Array, enough: Array
) -> Array:
    """Run conjugate gradients on each column until the residual is ``enough`` (m,)."""
    diagonal = axes.sizes[:, None] * bend.sum(axis=0) + l2
    step, rest = np.zeros_like(gradient), -gradient
    scaled = rest / diagonal
    direction, energy = scaled, (rest * scaled).sum(axis=0)
    for _ in range(MOST_PRODUCTS):
        going = np.linalg.norm(rest, axis=0) > enough
        if not going.any():
            break
        bent = axes.rows.T @ (bend * (axes.rows @ direction)) + l2 * direction
        length = np.where(going, energy / np.maximum((direction * bent).sum(axis=0), 1e-300), 0)
        step, rest = step + length * direction, rest - length * bent
        scaled = rest / diagonal
        before, energy = energy, (rest * scaled).sum(axis=0)
        direction = scaled + energy / np.maximum(before, 1e-300) * direction
    return step


def _lengths(
    loss: RowLoss,
    shares: Array,
    predicted: Array,
    ahead: Array,
    target: Array,
    w: Array,
    step: Array,
    l2: float | Array,
    gradient: Array,
) -> Array:
    """Return per column the first of 1, ½, ¼, … that lowers the objective enough (Armijo), or 0."""
    squares = [(a * b).sum(axis=0) for a, b in ((w, w), (w, step), (step, step))]
    descent = (gradient * step).sum(axis=0)

    def objective(t: Array) -> Array:
        norm = squares[0] + 2 * t * squares[1] + t * t * squares[2]
        value = (shares * loss.each(predicted + t * ahead, target)).sum(axis=0) + l2 / 2 * norm
        return np.asarray(value)

    length = np.ones(len(descent))
    now = objective(np.zeros_like(length))
    allowed = now + 1e-13 * np.abs(now)
    while (worse := objective(length) > allowed + 1e-4 * length * descent).any():
        length[worse] /= 2
        length[length < SHORTEST_STEP] = 0
        if not length[worse].any():
            break
    return length
