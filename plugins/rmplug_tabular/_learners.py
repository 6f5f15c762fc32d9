"""What can be learned from a matrix: the two interfaces, and how rows are prepared for them."""

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
    """Whether ``scores`` of a classifier are probabilities; else they are decision values."""

    @abstractmethod
    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """Shape (rows,) for numbers and two classes, (rows, classes) for more; the same for a row
        whatever rows are beside it."""

    @abstractmethod
    def save(self, directory: Path) -> Mapping[str, Any]:
        """Writes the model's files; gives what ``fit.json`` has to say about it."""


class SelfExplaining(Learned):
    """A model of trees that says what each number adds to a score."""

    @abstractmethod
    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """SHAP values (rows, outputs, numbers + 1), the expected value last, in raw score."""

    @abstractmethod
    def gains(self) -> np.ndarray:
        """How much of the loss the splits on each number took away, as shares of the whole."""


@dataclass(frozen=True)
class Task:
    """The rows one model learns from; ``number_of_classes`` is 0 for numbers."""

    matrix: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    number_of_classes: int
    seed: int


class Learner(ABC):
    """A way to learn."""

    name: str
    classifies: bool
    standardise: bool
    linear: bool = False
    """Whether what it learns is a weighted sum of the numbers."""

    @abstractmethod
    def learn(self, task: Task) -> Learned: ...

    def learn_all(self, task: Task, held_out: list[Learned]) -> Learned:
        """The model of all rows, given those of the folds."""
        return self.learn(task)


@dataclass(frozen=True)
class Preparation:
    """Medians put in place of missing values, then each number centred and scaled."""

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
class Model:
    """A preparation and what was learned from prepared rows."""

    preparation: Preparation
    learned: Learned

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        return self.learned.scores(self.preparation(matrix))


def deviations(matrix: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, 1 where it is (numerically) constant."""
    spread = matrix.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(1.0, np.abs(matrix).max(axis=0, initial=0))
    result: np.ndarray = np.where(constant, 1.0, spread)
    return result


def _medians(matrix: np.ndarray) -> np.ndarray:
    """Median of the known values of each column, 0 where none is known."""
    known = [column[~np.isnan(column)] for column in matrix.T]
    return np.array([np.median(values) if len(values) else 0.0 for values in known])


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
