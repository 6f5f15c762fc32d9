"""Sums of squares and products by fold: all that ridge regressions and their held-out errors need.

Folds keep prompts whole, so that the sums over deviations from a prompt's mean are those over rows
less those over means: two Gram matrices for each fold serve rows, means and deviations alike, and a
permuted target changes no Gram matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ._structure import Prompts

Part: TypeAlias = Literal["all", "within", "between"]
PARTS: tuple[Part, ...] = ("all", "within", "between")
CHUNK = 4096
CONSTANT = 1e-10
"""The variance of a standardised number below which it counts as constant."""


@dataclass(frozen=True)
class Products:
    """Sums of targets by fold: ``y`` and ``yy`` (folds, targets), ``xy`` (folds, numbers,
    targets)."""

    y: np.ndarray
    yy: np.ndarray
    xy: np.ndarray

    def __add__(self, within: Products) -> Products:
        """Return the sums over rows, from those over means and those over deviations."""
        return Products(self.y, self.yy + within.yy, self.xy + within.xy)


@dataclass(frozen=True)
class Moments:
    """Sums over the rows of each fold, of one part: ``rows`` (folds,), ``x`` (folds, numbers) and
    ``xx`` (folds, numbers, numbers). Without ``intercept`` sums of the numbers are 0."""

    rows: np.ndarray
    x: np.ndarray
    xx: np.ndarray
    intercept: bool

    def __sub__(self, other: Moments) -> Moments:
        """Return the sums over deviations, from those over rows less those over means."""
        return Moments(self.rows, np.zeros_like(self.x), self.xx - other.xx, False)

    def variances(self) -> np.ndarray:
        """Return the variance of each number over all folds, 0 where it is constant."""
        total, x = float(self.rows.sum()), self.x.sum(axis=0)
        variance = np.einsum("kii->i", self.xx) / total - (x / total) ** 2
        return np.where(variance > CONSTANT, variance, 0.0)

    def spread(self) -> np.ndarray:
        """Return the standard deviation of each number over all folds, 1 where it is constant."""
        variance = self.variances()
        return np.sqrt(np.where(variance > 0, variance, 1.0))


@dataclass(frozen=True)
class Design:
    """The matrix (rows, numbers), standardised over all rows, and the means of its prompts (groups,
    numbers); the fold of each row and of each group."""

    matrix: np.ndarray
    means: np.ndarray
    prompts: Prompts
    fold: np.ndarray

    @property
    def folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def fold_of_group(self) -> np.ndarray:
        return np.asarray(self.fold[self.prompts.starts])

    def moments(self) -> dict[Part, Moments]:
        """Compute the sums of each part."""
        rows = _moments(self.matrix, np.ones(len(self.matrix)), self.fold, self.folds)
        sizes = self.prompts.sizes.astype(float)
        between = _moments(self.means, sizes, self.fold_of_group, self.folds)
        return {"all": rows, "between": between, "within": rows - between}

    def products(
        self, means: np.ndarray, deviations: np.ndarray, parts: Sequence[Part] = PARTS
    ) -> dict[Part, Products]:
        """Compute the sums of some parts with targets given by means (groups, targets) and
        deviations (rows, targets)."""
        made: dict[Part, Products] = {}
        if "within" in parts or "all" in parts:
            ones = np.ones(len(self.matrix))
            made["within"] = _products(self.matrix, deviations, ones, self.fold, self.folds)
        if "between" in parts or "all" in parts:
            sizes = self.prompts.sizes.astype(float)
            groups = self.fold_of_group
            made["between"] = _products(self.means, means, sizes, groups, self.folds)
        if "all" in parts:
            made["all"] = made["between"] + made["within"]
        return made

    def of_target(self, target: np.ndarray) -> dict[Part, Products]:
        means = self.prompts.means(target)
        return self.products(means[:, None], (target - means[self.prompts.of])[:, None])


def _moments(x: np.ndarray, weight: np.ndarray, fold: np.ndarray, folds: int) -> Moments:
    width = x.shape[1]
    rows, sums = np.bincount(fold, weight, folds), np.zeros((folds, width))
    grams = np.zeros((folds, width, width))
    for k in range(folds):
        for inside in _chunks(np.flatnonzero(fold == k)):
            part = x[inside] * np.sqrt(weight[inside])[:, None]
            grams[k] += part.T @ part
            sums[k] += weight[inside] @ x[inside]
    return Moments(rows, sums, grams, True)


def _products(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, fold: np.ndarray, folds: int
) -> Products:
    count = y.shape[1]
    sums, squares = np.zeros((folds, count)), np.zeros((folds, count))
    products = np.zeros((folds, x.shape[1], count))
    for k in range(folds):
        for inside in _chunks(np.flatnonzero(fold == k)):
            values = y[inside]
            weighed = values * weight[inside][:, None]
            sums[k] += weighed.sum(axis=0)
            squares[k] += np.einsum("ij,ij->j", values, weighed)
            products[k] += x[inside].T @ weighed
    return Products(sums, squares, products)


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, range(CHUNK, len(rows), CHUNK))
