"""The forms of a performance model: what a set of human labels is worth, and each label in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

BLOCK = 1 << 16


@dataclass(frozen=True)
class Frame:
    """How counts are measured: ``z = (count - size * share) / scale``, so that a set with no more
    of a feature than its size lets expect is 0; and what the size alone is worth."""

    share: np.ndarray
    scale: np.ndarray
    size: np.ndarray
    """Coefficients of 1, the size, its square, …"""

    def z(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        found: np.ndarray = (counts - np.outer(sizes, self.share)) / self.scale
        return found

    def of_size(self, sizes: np.ndarray) -> np.ndarray:
        found = np.polynomial.polynomial.polyval(np.asarray(sizes, dtype=float), self.size)
        return np.asarray(found)


class ResultForm(ABC):
    """Predicts the result of a proxy from counts (rows, features) and sizes (rows)."""

    frame: Frame

    @abstractmethod
    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def slopes(self, counts: np.ndarray, sizes: np.ndarray) -> tuple[float, np.ndarray]:
        """Measure what one more label is worth without any feature, and what each adds to that,
        per label, on average over these sets."""

    def gains(self, members: csr_matrix, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Measure what each pair's label is worth on top of these sets, on average over them."""
        one, each = self.slopes(counts, sizes)
        return np.asarray(members @ each + one + self.own(members))

    def own(self, members: csr_matrix) -> np.ndarray | float:
        """Measure what the features of a pair are worth to each other; 0 unless they interact."""
        return 0.0


@dataclass(frozen=True)
class PolynomialForm(ResultForm):
    """Linear in ``z``, and quadratic with ``pairwise`` (symmetric, features by features)."""

    frame: Frame
    linear: np.ndarray
    pairwise: np.ndarray | None = None

    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        z = self.frame.z(counts, sizes)
        found = self.frame.of_size(sizes) + z @ self.linear
        if self.pairwise is not None:
            found = found + ((z @ self.pairwise) * z).sum(axis=1)
        return np.asarray(found)

    def slopes(self, counts: np.ndarray, sizes: np.ndarray) -> tuple[float, np.ndarray]:
        slope = self.linear
        if self.pairwise is not None:
            slope = slope + 2 * (self.frame.z(counts, sizes).mean(axis=0) @ self.pairwise)
        each = slope / self.frame.scale
        alone = self.frame.of_size(sizes + 1) - self.frame.of_size(sizes)
        return float(alone.mean() - each @ self.frame.share), each

    def own(self, members: csr_matrix) -> np.ndarray | float:
        if self.pairwise is None:
            return 0.0
        between = self.pairwise / np.outer(self.frame.scale, self.frame.scale)
        off = between @ self.frame.share
        parts = [
            np.asarray(rows.multiply(rows @ between).sum(axis=1)).ravel() - 2 * (rows @ off)
            for rows in _blocks(members)
        ]
        return np.asarray(np.concatenate([*parts, np.empty(0)]) + self.frame.share @ off)


@dataclass(frozen=True)
class TreesForm(ResultForm):
    """LightGBM on ``z`` and the size, on top of what the size alone is worth."""

    frame: Frame
    step: np.ndarray
    """How far a count is moved to see what its feature is worth."""
    booster: Any
    with_size: bool

    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        z = self.frame.z(counts, sizes)
        matrix = np.column_stack([z, sizes]) if self.with_size else z
        if not len(matrix):
            return np.empty(0)
        found = self.booster.predict(matrix, num_threads=1)
        return np.asarray(self.frame.of_size(sizes) + found, dtype=np.float64)

    def slopes(self, counts: np.ndarray, sizes: np.ndarray) -> tuple[float, np.ndarray]:
        """Compare sets with more and with fewer of each feature, and of all."""
        moves = np.diag(self.step)
        up, down = (
            self.values(
                (counts[:, None] + sign * moves).reshape(-1, counts.shape[1]),
                np.repeat(sizes, counts.shape[1]),
            )
            for sign in (1, -1)
        )
        each = (up - down).reshape(counts.shape).mean(axis=0) / (2 * self.step)
        width = np.maximum(sizes * 0.1, 1.0)
        more, fewer = (
            self.values(counts + np.outer(sign * width, self.frame.share), sizes + sign * width)
            for sign in (1, -1)
        )
        return float(((more - fewer) / (2 * width)).mean() - each @ self.frame.share), each


def _blocks(members: csr_matrix) -> Iterator[csr_matrix]:
    for start in range(0, members.shape[0], BLOCK):
        yield members[start : start + BLOCK]
