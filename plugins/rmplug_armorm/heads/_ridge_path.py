"""Ridge weights for many strengths from one Gram matrix.

A few strengths take a Cholesky factor each. For more, the matrix is turned once, by orthogonal
reflections, into a band matrix, which costs about four factors and, unlike an eigendecomposition,
is made of products of matrices only; each strength is then a factor of the band, next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh, lapack

from rmplug.arrays import Array

BAND = 96
TILE = 512
"""Rows and columns that are updated at a time."""
FEW = 4
"""Up to this many strengths take a factor each."""


def ridge_path(gram: Array, products: Array, penalties: Sequence[float]) -> Array:
    """Solve ``(gram + penalty I) w = products`` (width, c); returns (penalties, width, c).

    ``gram`` is a symmetric square in C order. Where rounding leaves it no positive definite matrix,
    eigenvalues below 0 count as 0.
    """
    if len(penalties) <= FEW or len(gram) < 4 * BAND:
        weights = _by_factors(gram, products, penalties)
    else:
        weights = _by_band(gram, products, penalties)
    return _by_eigenvalues(gram, products, penalties) if weights is None else weights


def _by_factors(gram: Array, products: Array, penalties: Sequence[float]) -> Array | None:
    weights = np.empty((len(penalties), *products.shape))
    for number, penalty in enumerate(penalties):
        matrix = gram.copy().T
        np.einsum("ii->i", matrix)[:] += penalty
        factor, failed = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
        if failed:
            return None
        weights[number] = lapack.dpotrs(factor, products, lower=1)[0]
    return weights


def _by_band(gram: Array, products: Array, penalties: Sequence[float]) -> Array | None:
    band, reflections = to_band(gram.copy(), BAND)
    turned = products.copy()
    for reflection in reflections:
        reflection.apply(turned, transposed=True)
    solutions = []
    for penalty in penalties:
        shifted = band.copy(order="F")
        shifted[0] += penalty
        factor, failed = lapack.dpbtrf(shifted, lower=1, overwrite_ab=1)
        if failed:
            return None
        solutions.append(lapack.dpbtrs(factor, turned, lower=1)[0])
    columns = np.hstack(solutions)
    for reflection in reversed(reflections):
        reflection.apply(columns, transposed=False)
    return columns.reshape(len(gram), len(penalties), -1).transpose(1, 0, 2)


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
    band = np.zeros((width + 1, size))
    for below in range(min(width, size - 1) + 1):
        band[below, : size - below] = np.diagonal(matrix, -below)
    return band, reflections


def _reflection(start: int, panel: Array) -> tuple[Reflection, Array]:
    """Compute the reflection that makes a panel (rows, width) triangular, and the triangle."""
    packed, scales, *_ = lapack.dgeqrf(np.asfortranarray(panel))
    count = len(scales)
    vectors = np.tril(packed[:, :count], -1)
    np.fill_diagonal(vectors, 1)
    vectors[:, scales == 0] = 0
    inverse = np.triu(vectors.T @ vectors, 1)
    np.fill_diagonal(inverse, 1 / np.where(scales == 0, 1, scales))
    inner = lapack.dtrtri(inverse)[0]
    return Reflection(start, np.ascontiguousarray(vectors), inner), np.triu(packed[:count])


def _turn(matrix: Array, reflection: Reflection) -> None:
    """Reflect the remaining rows and columns; only tiles on and below the diagonal are kept."""
    start, size = reflection.start, len(matrix)
    edges = [start, *range(start + TILE - start % TILE, size, TILE), size]
    tiles = [slice(low, high) for low, high in pairwise(edges)]
    vectors = np.zeros((size, reflection.vectors.shape[1]))
    vectors[start:] = reflection.vectors
    moved = np.zeros_like(vectors)
    for tile in tiles:
        moved[tile] += matrix[tile, start : tile.stop] @ vectors[start : tile.stop]
        moved[start : tile.start] += matrix[tile, start : tile.start].T @ vectors[tile]
    moved = moved @ reflection.inner
    moved -= 0.5 * vectors @ (reflection.inner.T @ (vectors.T @ moved))
    left, right = np.hstack([vectors, moved]), np.hstack([moved, vectors]).T.copy()
    for tile in tiles:
        matrix[tile, start : tile.stop] -= left[tile] @ right[:, start : tile.stop]


def _by_eigenvalues(gram: Array, products: Array, penalties: Sequence[float]) -> Array:
    values, vectors = eigh(gram)
    rotated = vectors.T @ products
    return np.stack([vectors @ (rotated / (values.clip(0) + p)[:, None]) for p in penalties])
