"""The interfaces of learners and learned models, and the preparation of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


class Learned(ABC):
    """A model learned from a matrix."""

    probabilities: bool = False
    """True if ``scores`` of a classifier are probabilities, not decision values."""

    @abstractmethod
    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """Return scores (rows,) for numbers and two classes, (rows, classes) for more; a row's
        score is independent of the other rows."""

    @abstractmethod
    def save(self, directory: Path) -> Mapping[str, Any]:
        """Write the model's files; return its entries of ``fit.json``."""


class SelfExplaining(Learned):
    """A model of trees that computes the contribution of each number to a score."""

    @abstractmethod
    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Return raw-score SHAP values (rows, outputs, numbers + 1), the expected value last."""

    @abstractmethod
    def gains(self) -> np.ndarray:
        """Return the reduction of the loss by splits on each number, as shares of the whole."""


@dataclass(frozen=True)
class Task:
    """The rows that one model learns from; ``number_of_classes`` is 0 for numbers."""

    matrix: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    number_of_classes: int
    seed: int


class Learner(ABC):
    """A learning algorithm with its settings."""

    name: str
    classifies: bool
    standardise: bool
    linear: bool = False
    """True if the learned model is a weighted sum of the numbers."""

    @abstractmethod
    def learn(self, task: Task) -> Learned: ...

    def learn_all(self, task: Task, held_out: list[Learned]) -> Learned:
        """Learn the model of all rows, after those of the folds."""
        return self.learn(task)


@dataclass(frozen=True)
class Preparation:
    """Imputation of missing values by medians, then each number centred and scaled."""

    medians: np.ndarray | None
    mean: np.ndarray | None
    scale: np.ndarray | None

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        if self.medians is not None:
            matrix = np.where(np.isnan(matrix), self.medians, matrix)
        return matrix if self.mean is None else (matrix - self.mean) / self.scale

    @classmethod
    def of(cls, matrix: np.ndarray, impute: bool, standardise: bool) -> Preparation:
        medians = mean = scale = None
        if impute:
            medians = _medians(matrix)
            matrix = np.where(np.isnan(matrix), medians, matrix)
        if standardise:
            mean, scale = matrix.mean(axis=0), deviations(matrix)
        return cls(medians, mean, scale)

    def to_json(self) -> dict[str, Any]:
        return {name: _listed(getattr(self, name)) for name in ("medians", "mean", "scale")}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Preparation:
        names = ("medians", "mean", "scale")
        return cls(*(None if saved[name] is None else np.array(saved[name]) for name in names))


@dataclass(frozen=True)
class PreparedModel:
    """A preparation and the model learned from prepared rows."""

    preparation: Preparation
    learned: Learned

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        return self.learned.scores(self.preparation(matrix))


def deviations(matrix: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each column, 1 where it is (numerically) constant."""
    spread = matrix.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(1.0, np.abs(matrix).max(axis=0, initial=0))
    result: np.ndarray = np.where(constant, 1.0, spread)
    return result


def _medians(matrix: np.ndarray) -> np.ndarray:
    """Return the median of each column without its missing values, 0 where all are missing."""
    present = [column[~np.isnan(column)] for column in matrix.T]
    return np.array([np.median(values) if len(values) else 0.0 for values in present])


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
