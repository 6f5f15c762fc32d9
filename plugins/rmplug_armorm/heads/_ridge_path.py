"""Ridge weights for many strengths from one Gram matrix.

A few strengths take a Cholesky factor each. For more, the matrix is turned once, by orthogonal
reflections, into a band matrix, which costs about four factors and, unlike an eigendecomposition,
is made of products of matrices only; each strength is then a factor of the band, next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import eigh, get_lapack_funcs

from rmplug.arrays import Array

BAND = 96
TILE = 192
"""Rows and columns that are updated at a time."""
FEW = 4
"""Up to this many strengths take a factor each."""


class PathFactors(Protocol):
    """Factors of a matrix with each of some penalties on its diagonal."""

    def path(self, products: Array) -> Array:
        """Solve for products (width, c) with each penalty; returns (penalties, width, c)."""

    def solve(self, columns: Array, numbers: Array) -> Array:
        """Solve for columns (width, c), each with the penalty of its number (c,)."""


def ridge_path(
    gram: Array,
    products: Array,
    penalties: Sequence[float],
    multiply: Callable[[Array], Array] | None = None,
) -> Array:
    """Solve ``(gram + penalty I) w = products`` (width, c); returns (penalties, width, c).

    ``gram`` is a symmetric square in C order. Where rounding leaves it no positive definite matrix,
    eigenvalues below 0 count as 0. With ``multiply``, which multiplies columns by what ``gram`` is
    the rounded product of, what rounding makes solutions lack is solved for as well.
    """
    factors = factors_of(gram, penalties)
    if factors is None:
        return _by_eigenvalues(gram, products, penalties)
    found = factors.path(products)
    if multiply is None:
        return found
    count = products.shape[1]
    numbers = np.repeat(np.arange(len(penalties)), count)
    columns = np.hstack(list(found))
    lacking = np.tile(products, len(penalties)) - multiply(columns)
    lacking -= columns * np.asarray(penalties)[numbers]
    columns += factors.solve(lacking, numbers)
    return columns.reshape(len(columns), -1, count).transpose(1, 0, 2)


def factors_of(gram: Array, penalties: Sequence[float]) -> PathFactors | None:
    """Factor a symmetric square (C order) with each penalty, in its own precision; None where
    rounding leaves no positive definite matrix."""
    few = len(penalties) <= FEW or len(gram) < 4 * BAND
    return (Factors if few else BandFactors).of(gram, penalties)


@dataclass(frozen=True)
class Factors:
    """A Cholesky factor for each penalty."""

    factors: list[Array]

    @classmethod
    def of(cls, gram: Array, penalties: Sequence[float]) -> Factors | None:
        (potrf,) = get_lapack_funcs(("potrf",), (gram,))
        factors = []
        for penalty in penalties:
            matrix = gram.copy().T
            np.einsum("ii->i", matrix)[:] += penalty
            factor, failed = potrf(matrix, lower=1, clean=0, overwrite_a=1)
            if failed:
                return None
            factors.append(factor)
        return cls(factors)

    def path(self, products: Array) -> Array:
        return np.stack([self._solve(factor, products) for factor in self.factors])

    def solve(self, columns: Array, numbers: Array) -> Array:
        solved = np.empty_like(columns)
        for number in np.unique(numbers):
            own = numbers == number
            solved[:, own] = self._solve(self.factors[number], columns[:, own])
        return solved

    @staticmethod
    def _solve(factor: Array, columns: Array) -> Array:
        (potrs,) = get_lapack_funcs(("potrs",), (factor,))
        return np.asarray(potrs(factor, columns, lower=1)[0])


@dataclass(frozen=True)
class BandFactors:
    """A matrix as a band matrix and reflections, with a factor of the band for each penalty."""

    reflections: list[Reflection]
    factors: list[Array]

    @classmethod
    def of(cls, gram: Array, penalties: Sequence[float]) -> BandFactors | None:
        band, reflections = to_band(gram.copy(), BAND)
        (pbtrf,) = get_lapack_funcs(("pbtrf",), (band,))
        factors = []
        for penalty in penalties:
            shifted = band.copy(order="F")
            shifted[0] += penalty
            factor, failed = pbtrf(shifted, lower=1, overwrite_ab=1)
            if failed:
                return None
            factors.append(factor)
        return cls(reflections, factors)

    def path(self, products: Array) -> Array:
        turned = self._turned(products)
        columns = np.hstack([self._solve(factor, turned) for factor in self.factors])
        turned = self._turned_back(columns).reshape(len(products), len(self.factors), -1)
        return turned.transpose(1, 0, 2)

    def solve(self, columns: Array, numbers: Array) -> Array:
        turned = self._turned(columns)
        for number in np.unique(numbers):
            own = numbers == number
            turned[:, own] = self._solve(self.factors[number], turned[:, own])
        return self._turned_back(turned)

    def _turned(self, columns: Array) -> Array:
        turned = columns.astype(self.factors[0].dtype)
        for reflection in self.reflections:
            reflection.apply(turned, transposed=True)
        return turned

    def _turned_back(self, columns: Array) -> Array:
        for reflection in reversed(self.reflections):
            reflection.apply(columns, transposed=False)
        return columns

    @staticmethod
    def _solve(factor: Array, columns: Array) -> Array:
        (pbtrs,) = get_lapack_funcs(("pbtrs",), (factor,))
        return np.asarray(pbtrs(factor, columns, lower=1)[0])


@dataclass(frozen=True)
class Reflection:
    """Orthogonal reflections of the rows from ``start`` on: ``I - vectors @ inner @ vectors.T``."""

    start: int
    vectors: Array
    inner: Array

    def apply(self, columns: Array, transposed: bool) -> None:
        """Reflect columns (width, c), in place."""
        part = columns[self.start :]
        inner = self.inner.T if transposed else self.inner
        part -= self.vectors @ (inner @ (self.vectors.T @ part))


def to_band(matrix: Array, width: int) -> tuple[Array, list[Reflection]]:
    """Reduce a symmetric matrix (C order, overwritten) to a band matrix: its diagonal and the
    ``width`` diagonals below it, in LAPACK's order; also returns the reflections to undo it.

    Source: Bischof, Lang and Sun 2000, A framework for symmetric band reduction.
    """
    size = len(matrix)
    reflections = []
    for start in range(width, size - 1, width):
        panel = matrix[start:, start - width : start]
        reflection, triangle = _reflection(start, panel)
        panel[:] = 0
        panel[: len(triangle)] = triangle
        _turn(matrix, reflection)
        reflections.append(reflection)
    band = np.zeros((width + 1, size), matrix.dtype)
    for below in range(min(width, size - 1) + 1):
        band[below, : size - below] = np.diagonal(matrix, -below)
    return band, reflections


def _reflection(start: int, panel: Array) -> tuple[Reflection, Array]:
    """Compute the reflection that makes a panel (rows, width) triangular, and the triangle."""
    geqrf, trtri = get_lapack_funcs(("geqrf", "trtri"), (panel,))
    packed, scales, *_ = geqrf(np.asfortranarray(panel))
    count = len(scales)
    vectors = np.tril(packed[:, :count], -1)
    np.fill_diagonal(vectors, 1)
    vectors[:, scales == 0] = 0
    inverse = np.triu(vectors.T @ vectors, 1)
    np.fill_diagonal(inverse, 1 / np.where(scales == 0, 1, scales))
    inner = trtri(inverse)[0]
    return Reflection(start, np.ascontiguousarray(vectors), inner), np.triu(packed[:count])


def _turn(matrix: Array, reflection: Reflection) -> None:
    """Reflect the remaining rows and columns; only tiles on and below the diagonal are kept, which
    are as wide as a panel, so that the next reflection has the same."""
    rest, vectors = matrix[reflection.start :, reflection.start :], reflection.vectors
    starts = range(0, len(rest), vectors.shape[1])
    tiles = [slice(start, start + vectors.shape[1]) for start in starts]
    moved = np.zeros_like(vectors)
    for tile in tiles:
        moved[tile] += rest[tile, : tile.stop] @ vectors[: tile.stop]
        moved[: tile.start] += rest[tile, : tile.start].T @ vectors[tile]
    moved = moved @ reflection.inner
    moved -= 0.5 * vectors @ (reflection.inner.T @ (vectors.T @ moved))
    left, right = np.hstack([vectors, moved]), np.hstack([moved, vectors]).T.copy()
    for tile in tiles:
        rest[tile, : tile.stop] -= left[tile] @ right[:, : tile.stop]


def _by_eigenvalues(gram: Array, products: Array, penalties: Sequence[float]) -> Array:
    values, vectors = eigh(gram)
    rotated = vectors.T @ products
    return np.stack([vectors @ (rotated / (values.clip(0) + p)[:, None]) for p in penalties])
