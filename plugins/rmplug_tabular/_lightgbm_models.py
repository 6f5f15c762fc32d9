"""LightGBM models: trained reproducibly, saved as text, explained by LightGBM's SHAP values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import lightgbm
import numpy as np

from rmplug import DataError
from rmplug.models.tree_texts import read_trees
from rmplug.stats.folds import deal_folds

from ._learners import Learned, Learner, SelfExplaining, Task
from ._lightgbm_names import wrong_args

MODEL_FILE = "model.txt"
CLASSES = {"binary", "multiclass"}
EARLY_STOPPING_FOLDS = 5


class LightGBMLearner(Learner):
    """A learner of boosted trees; early stopping chooses the rounds on a fifth of the groups."""

    standardise = False

    def __init__(
        self,
        objective: str,
        rounds: int,
        early_stopping: int | None,
        args: Mapping[str, Any],
        threads: int,
    ) -> None:
        self.name = f"LightGBM ({objective})"
        self.objective, self.rounds, self.early_stopping = objective, rounds, early_stopping
        self.args, self.threads = _checked(args), threads
        self.classifies = objective in CLASSES

    def learn(self, task: Task) -> Learned:
        if self.early_stopping is None:
            return self._train(task, self.rounds)
        fold = deal_folds(task.groups, EARLY_STOPPING_FOLDS, task.seed, task.target)
        return self._train(task, self.rounds, fold == 0)

    def learn_all(self, task: Task, held_out: list[Learned]) -> Learned:
        """Learn from all rows; early stopping takes the median rounds of the folds."""
        rounds = [cast(LightGBMModel, model).rounds for model in held_out]
        return self._train(task, int(np.median(rounds)))

    def _train(self, task: Task, rounds: int, watched: np.ndarray | None = None) -> LightGBMModel:
        parameters = {**self.args, **self._fixed(task)}
        rest = slice(None) if watched is None else ~watched
        data = lightgbm.Dataset(task.matrix[rest], task.target[rest], params=parameters)
        valid: list[lightgbm.Dataset] = []
        stop: list[Callable[..., Any]] = []
        if self.early_stopping and watched is not None and watched.any() and not watched.all():
            valid = [data.create_valid(task.matrix[watched], task.target[watched])]
            stop = [lightgbm.early_stopping(self.early_stopping, verbose=False)]
        try:
            # Without keep_training_booster every model is written as text and read again.
            booster = lightgbm.train(
                parameters, data, rounds, valid_sets=valid, callbacks=stop,
                keep_training_booster=True,
            )  # fmt: skip
        except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
            raise DataError(f"{self.name} cannot learn from this: {error}") from error
        booster.free_dataset()
        return LightGBMModel(booster, task.number_of_classes)

    def _fixed(self, task: Task) -> dict[str, Any]:
        classes = {"num_class": task.number_of_classes} if self.objective == "multiclass" else {}
        return {
            "objective": self.objective,
            "num_threads": self.threads,
            "seed": task.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
            **classes,
        }


class LightGBMModel(SelfExplaining):
    """A booster; it scores on one thread, so that results do not depend on the machine."""

    probabilities = True

    def __init__(self, booster: lightgbm.Booster, number_of_classes: int) -> None:
        self.booster = booster
        self.number_of_classes = number_of_classes
        self.rounds = max(booster.best_iteration, 0) or booster.current_iteration()

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        if not len(matrix):
            return np.empty((0, self.number_of_classes) if self.number_of_classes > 2 else 0)
        values = self.booster.predict(matrix, num_iteration=self.rounds, num_threads=1)
        return np.asarray(values, dtype=float)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        values = self.booster.predict(
            matrix, num_iteration=self.rounds, num_threads=1, pred_contrib=True
        )
        return np.asarray(values, dtype=float).reshape(len(matrix), -1, matrix.shape[1] + 1)

    def gains(self) -> np.ndarray:
        gains = self.booster.feature_importance("gain", iteration=self.rounds).astype(float)
        return cast(np.ndarray, gains / max(gains.sum(), 1e-300))

    def save(self, directory: Path) -> Mapping[str, Any]:
        text = self.booster.model_to_string(num_iteration=self.rounds)
        (directory / MODEL_FILE).write_text(text, encoding="utf-8")
        return {"format": "lightgbm", "number_of_classes": self.number_of_classes}


def load(directory: Path, saved: Mapping[str, Any]) -> LightGBMModel:
    """Load the saved booster; its trees are checked before LightGBM reads them."""
    text = read_trees(directory / MODEL_FILE)
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise DataError(f"{directory / MODEL_FILE} cannot be read: {error}; fit again") from error
    classes = saved["number_of_classes"]
    if booster.num_model_per_iteration() != (classes if classes > 2 else 1):
        raise DataError(f"{directory / MODEL_FILE} is not a model of {classes} classes; fit again")
    return LightGBMModel(booster, classes)


def _checked(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check that each arg is a parameter of LightGBM that is not set elsewhere."""
    aliases = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    canonical = {alias: name for name, names in aliases.items() for alias in (name, *names)}
    for message in wrong_args(args, canonical):
        raise DataError(message)
    return args
