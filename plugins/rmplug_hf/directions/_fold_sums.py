"""Ridge regression from sums over folds: each training set is a sum of them, whatever its rows.

One pass over the rows makes a Gram matrix for each fold. Any training set is then a sum of those,
its fit a Cholesky factor, and its loss on a fold a quadratic form: rows are not read again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from rmplug.arrays import Array


@dataclass(frozen=True)
class Sums:
    """Sums over rows with states ``z`` (d,) and targets ``y`` (t,)."""

    count: float
    z: Array
    y: Array
    zz: Array
    zy: Array
    yy: Array

    @classmethod
    def over(cls, z: Array, y: Array) -> Sums:
        """Sum rows ``z`` (n, d) and ``y`` (n, t)."""
        return cls(len(z), z.sum(axis=0), y.sum(axis=0), z.T @ z, z.T @ y, (y * y).sum(axis=0))

    def plus(self, other: Sums) -> Sums:
        """Return the sums of both sets of rows."""
        return Sums(
            self.count + other.count,
            self.z + other.z,
            self.y + other.y,
            self.zz + other.zz,
            self.zy + other.zy,
            self.yy + other.yy,
        )

    def centred(self, z: Array, y: Array) -> Sums:
        """Return the sums of rows from which ``z`` and ``y`` are taken away."""
        return Sums(
            self.count,
            self.z - self.count * z,
            self.y - self.count * y,
            self.zz - np.outer(self.z, z) - np.outer(z, self.z) + self.count * np.outer(z, z),
            self.zy - np.outer(self.z, y) - np.outer(z, self.y) + self.count * np.outer(z, y),
            self.yy - 2 * self.y * y + self.count * y**2,
        )

    @property
    def means(self) -> tuple[Array, Array]:
        count = max(self.count, 1)
        return self.z / count, self.y / count


@dataclass(frozen=True)
class Ridge:
    """A fit: ``weights`` (d, t), and the means of states and targets that it was made with."""

    weights: Array
    z: Array
    y: Array

    def predict(self, z: Array) -> Array:
        """Predict the targets (n, t) of states (n, d)."""
        return np.asarray((z - self.z) @ self.weights + self.y)


@dataclass(frozen=True)
class FoldSums:
    """The sums of each fold; targets come in families (the classes of one label), and each family
    has a strength of its own."""

    folds: tuple[Sums, ...]
    families: tuple[slice, ...]

    def without(self, left_out: Collection[int]) -> Sums:
        """Return the sums of all folds but some."""
        kept = [fold for number, fold in enumerate(self.folds) if number not in left_out]
        total = kept[0]
        for one in kept[1:]:
            total = total.plus(one)
        return total

    def losses(self, strengths: Array) -> Array:
        """Return the summed squared errors on fold j of fits on all folds but j and k, of shape (k,
        j, strengths, families); 0 for j = k."""
        number = len(self.folds)
        losses = np.zeros((number, number, len(strengths), len(self.families)))
        for k in range(number):
            for j in range(k):
                training = self.without((j, k))
                z, y = training.means
                held = [(k, j, self.folds[j].centred(z, y)), (j, k, self.folds[k].centred(z, y))]
                for at, weights in enumerate(path(training.centred(z, y), strengths)):
                    for outer, inner, sums in held:
                        losses[outer, inner, at] = self._by_family(errors(sums, weights))
        return losses

    def _by_family(self, errors: Array) -> Array:
        return np.array([errors[family].sum() for family in self.families])

    def fit(self, left_out: Collection[int], strengths: Array, chosen: Array) -> Ridge:
        """Fit all folds but some; family f with the strength of index ``chosen[f]``."""
        training = self.without(left_out)
        z, y = training.means
        centred = training.centred(z, y)
        weights = np.empty_like(centred.zy)
        used = np.unique(chosen)
        for at, solution in zip(used, path(centred, strengths[used]), strict=True):
            for family, own in zip(self.families, chosen, strict=True):
                if own == at:
                    weights[:, family] = solution[:, family]
        return Ridge(weights, z, y)


def path(sums: Sums, strengths: Array) -> list[Array]:
    """Return the weights (d, t) for each strength, of centred sums: the minimisers of half the mean
    squared error plus half the strength times the squared weights."""
    gram, products = sums.zz / sums.count, sums.zy / sums.count
    solutions = []
    for strength in strengths:
        matrix = gram.copy()
        np.einsum("ii->i", matrix)[:] += strength
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        solutions.append(cho_solve(factor, products, check_finite=False))
    return solutions


def errors(sums: Sums, weights: Array) -> Array:
    """Return the summed squared errors (t,) of weights on rows with these centred sums."""
    squares = (weights * (sums.zz @ weights)).sum(axis=0)
    return np.asarray(sums.yy - 2 * (weights * sums.zy).sum(axis=0) + squares)
