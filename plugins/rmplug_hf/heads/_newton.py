"""Linear models with a ridge penalty, many weightings of the same rows at once.

Truncated Newton steps: gradients and objectives are exact, in float64, and so is the minimum; the
products with the curvature, of which there are most, are in float32 and serve all weightings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol, TypeAlias

import numpy as np
from scipy.linalg import lapack

from rmplug.arrays import Array

MOST_STEPS, MOST_PRODUCTS, SHORTEST_STEP = 60, 500, 1e-9
ROUNDING = 3e-7
"""The strength, as a share of the curvature, that keeps a matrix in float32 positive definite."""


@dataclass
class Rows:
    """Rows (n, d) in float64, and what is known of them once for all fits."""

    exact: Array
    uneven: bool = False
    """Whether a step has shown that the curvature is uneven."""

    @cached_property
    def single(self) -> Array:
        """The rows in float32."""
        return self.exact.astype(np.float32)

    @cached_property
    def sizes(self) -> Array:
        """The mean square of each dimension."""
        return np.asarray(np.einsum("nd,nd->d", self.exact, self.exact) / max(len(self.exact), 1))

    @property
    def wide(self) -> bool:
        """Whether there are fewer rows than dimensions."""
        return len(self.exact) < len(self.sizes)

    @property
    def patience(self) -> int:
        """The products in a step after which a factor of the curvature would have paid: about half
        as many as take the time of one."""
        return 8 + min(len(self.exact), len(self.sizes)) // 256

    @cached_property
    def products(self) -> Array:
        """The mean products of dimensions (d, d), or, of wide rows, those of rows (n, n), in
        float32."""
        rows = self.single / np.float32(np.sqrt(max(len(self.single), 1)))
        return np.asarray(rows @ rows.T if self.wide else rows.T @ rows)


def log_one_plus_exp(values: Array) -> Array:
    """Return ``log(1 + exp(value))``, four times as fast as by ``numpy.logaddexp``."""
    return np.asarray(np.log1p(np.exp(-np.abs(values))) + np.maximum(values, 0))


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
        return log_one_plus_exp(-apart)

    def slopes(self, predicted: Array, target: Array) -> tuple[Array, Array]:
        """Return the first and second derivative with respect to the prediction."""
        apart = predicted - target
        if self.kind == "squared":
            return apart, np.ones_like(apart)
        doubt = 0.5 * (1 - np.tanh(apart / 2))
        return -doubt, doubt * (1 - doubt)


Precondition: TypeAlias = "Callable[[Array], Array]"


@dataclass(frozen=True)
class Weights:
    """Weights (d, m) and what they predict for the rows (n, m)."""

    values: Array
    predicted: Array

    def moved(self, by: Array, step: Array, ahead: Array) -> Weights:
        """Add some lengths (m,) of a step (d, m), which adds ``ahead`` (n, m) to predictions."""
        return Weights(self.values + by * step, self.predicted + by * ahead)


def minimise(
    rows: Rows,
    loss: RowLoss,
    target: Array,
    shares: Array,
    l2: float | Array,
    start: Array,
    tolerance: float = 1e-9,
) -> Array:
    """Compute for each column of ``shares`` (n, m) the minimiser (d, m) of ``sum(share * loss) + l2
    / 2 * |w|²``, until the gradient is ``tolerance`` times what it is at zero. ``l2`` is one
    strength, or one for each column (m,)."""
    predicted = rows.exact @ start if start.any() else np.zeros_like(shares)
    strengths = np.broadcast_to(np.asarray(l2, dtype=float), shares.shape[1:])
    first = slope_at_zero(rows, loss, target, shares)
    begin = Weights(start, predicted)
    return minimise_from(rows, loss, target, shares, strengths, begin, first, tolerance).values


def slope_at_zero(rows: Rows, loss: RowLoss, target: Array, shares: Array) -> Array:
    """Return the length of the gradient where all weights are zero (m,)."""
    slope = loss.slopes(np.zeros_like(shares), target[:, None])[0]
    return np.asarray(np.maximum(np.linalg.norm((shares * slope).T @ rows.exact, axis=1), 1e-300))


def minimise_from(
    rows: Rows,
    loss: RowLoss,
    target: Array,
    shares: Array,
    strengths: Array,
    start: Weights,
    at_zero: Array,
    tolerance: float,
) -> Weights:
    """Do as ``minimise``, where predictions at the start, and the slope at zero, are known."""
    x, found, column = rows.exact, start, target[:, None]
    steps = NewtonSteps(rows, strengths)
    for _ in range(MOST_STEPS):
        w, predicted = found.values, found.predicted
        slope, bend = loss.slopes(predicted, column)
        gradient = ((shares * slope).T @ x).T + strengths * w
        size = np.linalg.norm(gradient, axis=0)
        done = size <= tolerance * at_zero
        if done.all():
            break
        enough = np.maximum(np.minimum(0.25, size / at_zero), tolerance * at_zero / size / 4)
        step = steps.step(shares * bend, gradient, np.where(done, np.inf, enough))
        ahead = x @ step
        length = _lengths(loss, shares, predicted, ahead, column, w, step, strengths, gradient)
        if not length.any():
            break
        found = found.moved(length, step, ahead)
    return found


@dataclass
class NewtonSteps:
    """Newton steps by conjugate gradients, with one strength for each column (m,)."""

    rows: Rows
    strengths: Array
    factors: dict[float, Precondition] = field(default_factory=dict)
    """An approximate inverse of the curvature for each strength, once it pays."""

    def step(self, bend: Array, gradient: Array, enough: Array) -> Array:
        """Solve for the step (d, m) until the residual is ``enough`` (m,) of the gradient."""
        x, l2 = self.rows.single, self.strengths.astype(np.float32)
        curvature = bend.sum(axis=0)
        diagonal = (self.rows.sizes[:, None] * curvature + self.strengths).astype(np.float32)
        if self.rows.uneven and not self.factors:
            self._factor(curvature)
        size = np.maximum(np.linalg.norm(gradient, axis=0), 1e-300)
        rest, bent = (-gradient / size).astype(np.float32), bend.astype(np.float32)
        scaled = self._scaled(rest, diagonal)
        step, direction, energy = np.zeros_like(rest), scaled, (rest * scaled).sum(axis=0)
        for number in range(MOST_PRODUCTS):
            going = np.linalg.norm(rest, axis=0) > enough
            if not going.any():
                break
            if number == self.rows.patience and not self.factors:
                self.rows.uneven = True
                break
            image = x.T @ (bent * (x @ direction)) + l2 * direction
            along = np.maximum((direction * image).sum(axis=0), np.float32(1e-37))
            length = np.where(going, energy / along, np.float32(0))
            step, rest = step + length * direction, rest - length * image
            scaled = self._scaled(rest, diagonal)
            before, energy = energy, (rest * scaled).sum(axis=0)
            direction = scaled + energy / np.maximum(before, np.float32(1e-37)) * direction
        return np.asarray(step * size)

    def _scaled(self, rest: Array, diagonal: Array) -> Array:
        """Return the residuals in proportion to the curvature along each direction."""
        if not self.factors:
            return np.asarray(rest / diagonal)
        scaled = np.empty_like(rest)
        for strength, inverse in self.factors.items():
            columns = np.flatnonzero(self.strengths == strength)
            scaled[:, columns] = inverse(rest[:, columns])
        return scaled

    def _factor(self, curvature: Array) -> None:
        for strength in np.unique(self.strengths).tolist():
            mean = float(curvature[self.strengths == strength].mean())
            self.factors[strength] = _inverse(self.rows, mean, strength)


def _inverse(rows: Rows, curvature: float, l2: float) -> Precondition:
    """Return the inverse of ``curvature * mean of x x' + l2`` by a Cholesky factor; of wide rows by
    that of their inner products (Woodbury)."""
    l2 = max(l2, ROUNDING * curvature * float(rows.sizes.sum()))
    matrix = np.float32(curvature) * rows.products
    matrix[np.diag_indices_from(matrix)] += np.float32(l2)
    factor, failed = lapack.spotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("the curvature of the rows is not finite")
    if not rows.wide:
        return lambda rest: np.asarray(lapack.spotrs(factor, rest, lower=1)[0])
    x, share = rows.single, np.float32(curvature / len(rows.single))

    def apply(rest: Array) -> Array:
        inner = lapack.spotrs(factor, x @ rest, lower=1)[0]
        return np.asarray((rest - share * (x.T @ inner)) / np.float32(l2))

    return apply


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
