"""Cross-validation by group: a model per fold, and its scores of the rows held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug.stats.folds import deal_folds

from ._explanations import rows_at_random
from ._feature_matrix import Examples, Missing
from ._learners import Learner, Preparation, PreparedModel, Task

MOST_ROWS_BESIDE = 2000


@dataclass(frozen=True)
class Settings:
    """The settings of a fit that are common to all learners."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    missing: Missing
    threshold: float | None
    folds: int
    repeats: int
    refits: int
    dependence: int
    shap_rows: int = 0


@dataclass(frozen=True)
class HeldOut:
    """One model per fold, the fold and score of each row, and the baseline without features."""

    models: list[PreparedModel]
    fold: np.ndarray
    scores: np.ndarray
    standing: np.ndarray
    """Each row's score as a middle rank, 0 to 1, among its model's scores of the rows held out and
    of others: models of different folds differ in level and spread, and to pool their scores as
    they are makes rank correlations too low (by .05 at 20 prompts)."""
    blind: np.ndarray


def cross_validate(learner: Learner, settings: Settings, examples: Examples, seed: int) -> HeldOut:
    """Fit a model per fold on the other folds, and score the rows held out."""
    folds = min(settings.folds, int(examples.groups.max()) + 1)
    fold = deal_folds(examples.groups, folds, seed, examples.target)
    models, parts = [], []
    for held in range(folds):
        rest = fold != held
        model = _fit_one(learner, settings, examples, rest, seed)
        models.append(model)
        scores = model.scores(examples.matrix[~rest])
        standing = _standing(model, scores, examples.matrix[rest], seed)
        parts.append((~rest, scores, standing, _blind(examples, rest)))
    columns = [np.empty((len(examples), *part.shape[1:])) for part in parts[0][1:3]]
    columns.append(np.empty((len(examples), *parts[0][3].shape)))
    for rows, *values in parts:
        for whole, part in zip(columns, values, strict=True):
            whole[rows] = part
    return HeldOut(models, fold, *columns)


def _standing(model: PreparedModel, held: np.ndarray, others: np.ndarray, seed: int) -> np.ndarray:
    """Return mid-ranks of the held-out scores among themselves and the scores of some other
    rows."""
    if held.ndim > 1:
        return np.full(len(held), np.nan)
    some = rows_at_random(np.arange(len(others)), MOST_ROWS_BESIDE, np.random.default_rng(seed))
    beside = np.sort(np.concatenate([held, model.scores(others[some])]))
    below = np.searchsorted(beside, held, "left") + np.searchsorted(beside, held, "right")
    return np.asarray(below / (2 * len(beside)))


def _fit_one(
    learner: Learner, settings: Settings, examples: Examples, rows: Any, seed: int
) -> PreparedModel:
    preparation = preparation_of(learner, settings, examples.matrix[rows])
    return PreparedModel(preparation, learner.learn(task_of(preparation, examples, rows, seed)))


def preparation_of(learner: Learner, settings: Settings, matrix: np.ndarray) -> Preparation:
    return Preparation.of(matrix, settings.missing == "impute-median", learner.standardise)


def task_of(preparation: Preparation, examples: Examples, rows: Any, seed: int) -> Task:
    groups = np.unique(examples.groups[rows], return_inverse=True)[1]
    matrix = preparation(examples.matrix[rows])
    return Task(matrix, examples.target[rows], groups, len(examples.classes), seed)


def _blind(examples: Examples, rows: np.ndarray) -> np.ndarray:
    """Return the mean target, the rate of the higher class, or the rates of all classes."""
    if len(examples.classes) > 2:
        counts = np.bincount(examples.target[rows], minlength=len(examples.classes))
        return np.asarray(counts / counts.sum())
    return np.asarray(examples.target[rows].mean())
