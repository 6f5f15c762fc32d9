"""The forms of a performance model: the predicted result of a set of human labels, and the gain of
each label."""

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
    """The scale of counts: ``z = (count - size * share) / scale``, which is 0 for a set with no
    more of a feature than its size lets expect; and the prediction from the size alone."""

    share: np.ndarray
    scale: np.ndarray
    size: np.ndarray
    """Coefficients of 1, the size, its square, …"""

    def z(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        z: np.ndarray = (counts - np.outer(sizes, self.share)) / self.scale
        return z

    def of_size(self, sizes: np.ndarray) -> np.ndarray:
        values = np.polynomial.polynomial.polyval(np.asarray(sizes, dtype=float), self.size)
        return np.asarray(values)


class ResultForm(ABC):
    """A form that predicts a proxy's result from counts (rows, features) and sizes (rows)."""

    frame: Frame

    @abstractmethod
    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def slopes(self, counts: np.ndarray, sizes: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute the gain of one more label without any feature, and the addition of each feature,
        per label, averaged over these sets."""

    def gains(self, members: csr_matrix, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Compute the gain of each pair's label on top of these sets, averaged over them."""
        one, each = self.slopes(counts, sizes)
        return np.asarray(members @ each + one + self.own(members))

    def own(self, members: csr_matrix) -> np.ndarray | float:
        """Compute the gain that a pair's features have together; 0 unless they interact."""
        return 0.0


@dataclass(frozen=True)
class PolynomialForm(ResultForm):
    """A form linear in ``z``, and quadratic with ``pairwise`` (symmetric, features by features)."""

    frame: Frame
    linear: np.ndarray
    pairwise: np.ndarray | None = None

    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        z = self.frame.z(counts, sizes)
        values = self.frame.of_size(sizes) + z @ self.linear
        if self.pairwise is not None:
            values = values + ((z @ self.pairwise) * z).sum(axis=1)
        return np.asarray(values)

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
    """A LightGBM model of ``z`` and the size, added to the prediction from the size alone."""

    frame: Frame
    step: np.ndarray
    """The change of a count by which its feature's gain is measured."""
    booster: Any
    with_size: bool

    def values(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        z = self.frame.z(counts, sizes)
        matrix = np.column_stack([z, sizes]) if self.with_size else z
        if not len(matrix):
            return np.empty(0)
        residuals = self.booster.predict(matrix, num_threads=1)
        return np.asarray(self.frame.of_size(sizes) + residuals, dtype=np.float64)

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
