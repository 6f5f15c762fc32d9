"""Ridge regressions of many targets at once: a path over strengths for each fold, from sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ._families import Family
from ._moments import Moments, Products

MOST_KEPT = 512
"""The most numbers of a regression whose paths are kept: 42 MB for ten folds."""


@dataclass(frozen=True)
class Scaling:
    """The numbers of some families, and the factor of each before it is penalised: every family has
    the same size as a whole, so that one strength suits one number beside a vector of hundreds.
    The target has no say in it, so that a permuted target gets what the real one gets."""

    numbers: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, families: Sequence[Family], spread: np.ndarray) -> Scaling:
        numbers = np.concatenate([family.numbers for family in families])
        sizes = [np.full(len(f.numbers), len(f.numbers) ** -0.5) for f in families]
        return cls(numbers, np.concatenate(sizes) / spread[numbers])


@dataclass(frozen=True)
class FoldPath:
    """The sums of one fold and of all others, turned to the directions in which the others' Gram
    matrix is diagonal (``values``)."""

    values: np.ndarray
    turn: np.ndarray
    """From scaled numbers to directions, shape (numbers, directions)."""
    mean: np.ndarray
    """Means of the scaled numbers over the other folds."""
    held: np.ndarray
    """The Gram matrix of the fold held out, about those means, in those directions."""
    rows: float
    rows_held: float


class RidgePaths:
    """Ridge regressions without each fold in turn, at each of some strengths (relative to the
    rows and to the size of a family)."""

    def __init__(
        self, moments: Moments, families: Sequence[Family], strengths: tuple[float, ...]
    ) -> None:
        self.moments, self.strengths = moments, strengths
        self.scaling = Scaling.of(families, moments.spread())
        self.folds = len(moments.rows)
        numbers, factors = self.scaling.numbers, self.scaling.factors
        both = np.ix_(np.arange(self.folds), numbers, numbers)
        self.grams = moments.xx[both] * np.outer(factors, factors)
        self.sums = moments.x[:, numbers] * factors
        self._kept: list[FoldPath] = []

    def errors(self, products: Products) -> np.ndarray:
        """Return the sum of squared errors of each fold held out, shape (strengths, folds,
        targets)."""
        found = np.empty((len(self.strengths), self.folds, products.y.shape[1]))
        for k, path in enumerate(self._paths()):
            rest, held, left = self._turned(path, products, k)
            for s, strength in enumerate(self.strengths):
                weights = rest / (path.values + strength * path.rows)[:, None]
                found[s, k] = left - 2 * np.einsum("ij,ij->j", weights, held)
                found[s, k] += np.einsum("ij,ij->j", weights, path.held @ weights)
        return found

    def weights(self, products: Products) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (folds, numbers, strengths) and intercepts (folds, strengths) of the first
        target, learnt without each fold."""
        width = len(self.scaling.numbers)
        weights = np.empty((self.folds, width, len(self.strengths)))
        intercepts = np.zeros((self.folds, len(self.strengths)))
        for k, path in enumerate(self._paths()):
            rest, *_ = self._turned(path, products, k)
            level = (products.y[:, 0].sum() - products.y[k, 0]) / path.rows
            for s, strength in enumerate(self.strengths):
                scaled = path.turn @ (rest[:, 0] / (path.values + strength * path.rows))
                weights[k, :, s] = scaled * self.scaling.factors
                intercepts[k, s] = level - path.mean @ scaled if self.moments.intercept else 0.0
        return weights, intercepts

    def learn_all(self, products: Products, strength: float) -> tuple[np.ndarray, float]:
        """Return weights (numbers,) and the intercept of the first target, learnt from all
        rows."""
        path = self._path(None)
        xy, y = self._scaled(products).sum(axis=0)[:, :1], products.y[:, :1].sum(axis=0)
        rest = path.turn.T @ (xy - np.outer(path.mean, y))
        scaled = path.turn @ (rest[:, 0] / (path.values + strength * path.rows))
        level = float(y[0] / path.rows - path.mean @ scaled) if self.moments.intercept else 0.0
        return scaled * self.scaling.factors, level

    def _paths(self) -> Iterator[FoldPath]:
        """Yield the path of each fold; kept for the next time where that takes little memory."""
        if self._kept:
            yield from self._kept
            return
        made = []
        for fold in range(self.folds):
            made.append(self._path(fold))
            yield made[-1]
            if len(self.scaling.numbers) > MOST_KEPT:
                made.clear()
        self._kept = made

    def _path(self, fold: int | None) -> FoldPath:
        gram, x = self.grams.sum(axis=0), self.sums.sum(axis=0)
        rows = float(self.moments.rows.sum())
        if fold is None:
            values, turn = eigh(gram - np.outer(x, x) / rows)
            return FoldPath(values.clip(0), turn, x / rows, np.empty((0, 0)), rows, 0.0)
        held_rows = float(self.moments.rows[fold])
        gram, x, rows = gram - self.grams[fold], x - self.sums[fold], rows - held_rows
        values, turn = eigh(gram - np.outer(x, x) / rows)
        mean = x / rows
        crossed = np.outer(self.sums[fold], mean)
        held = self.grams[fold] - crossed - crossed.T + held_rows * np.outer(mean, mean)
        return FoldPath(values.clip(0), turn, mean, turn.T @ held @ turn, rows, held_rows)

    def _scaled(self, products: Products) -> np.ndarray:
        return np.asarray(products.xy[:, self.scaling.numbers] * self.scaling.factors[:, None])

    def _turned(
        self, path: FoldPath, products: Products, fold: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the products of the other folds and of this one in the path's directions, and the
        sum of squares of this one, all about the means of the other folds."""
        xy = self._scaled(products)
        y, y_held = products.y.sum(axis=0) - products.y[fold], products.y[fold]
        rest = path.turn.T @ (xy.sum(axis=0) - xy[fold] - np.outer(path.mean, y))
        level = y / path.rows
        held = xy[fold] - np.outer(path.mean, y_held) - np.outer(self.sums[fold], level)
        held += path.rows_held * np.outer(path.mean, level)
        left = products.yy[fold] - 2 * level * y_held + path.rows_held * level**2
        return rest, path.turn.T @ held, left


def explained(errors: np.ndarray, products: Products, rows: np.ndarray) -> np.ndarray:
    """Return R² of each target, shape (targets,), from errors (strengths, folds, targets); the
    strength of each fold is the best one on the other folds. Errors are compared with those of the
    mean of the other folds."""
    chosen = best_elsewhere(errors)
    left = np.take_along_axis(errors, chosen[None], axis=0)[0].sum(axis=0)
    level = (products.y.sum(axis=0) - products.y) / (rows.sum() - rows)[:, None]
    spread = products.yy - 2 * level * products.y + rows[:, None] * level**2
    return np.asarray(1 - left / np.maximum(spread.sum(axis=0), 1e-300))


def best_elsewhere(errors: np.ndarray) -> np.ndarray:
    """Return the index of the strength with the least error over the other folds, shape (folds,
    targets)."""
    elsewhere = errors.sum(axis=1, keepdims=True) - errors
    return np.asarray(elsewhere.argmin(axis=0))
