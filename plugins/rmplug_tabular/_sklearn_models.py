"""Regressors and classifiers of scikit-learn by name: built, fitted, and saved without pickle."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.special import expit, softmax

from rmplug import DataError
from rmplug.errors import did_you_mean
from rmplug.models.deferred_imports import deferred_imports

from ._learners import Learned, Learner, Task
from ._sklearn_names import NOT_CALLED, file_of, unknown_args
from ._skops_files import read_estimator, write_estimator

with deferred_imports(NOT_CALLED):
    import sklearn
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.utils.discovery import all_estimators

SCALE_FREE = ("tree", "ensemble", "naive_bayes", "dummy", "isotonic")
BLOCK = 512


class SklearnLearner(Learner):
    """A learner with a scikit-learn estimator, named by its public class name."""

    def __init__(self, name: str, args: Mapping[str, Any], standardise: bool | None) -> None:
        self.name, self.args = name, args
        estimator = make(name, args, 0)
        self.classifies = isinstance(estimator, ClassifierMixin)
        module = type(estimator).__module__.split(".")[1]
        self.standardise = module not in SCALE_FREE if standardise is None else standardise
        self.linear = module == "linear_model" or name.startswith("LinearSV")

    def learn(self, task: Task) -> Learned:
        estimator = make(self.name, self.args, task.seed)
        try:
            estimator.fit(task.matrix, task.target)
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{self.name} cannot learn from this: {_first_line(error)}") from error
        whole = SklearnModel(estimator, task.number_of_classes)
        return as_linear(whole, task) or whole


class SklearnModel(Learned):
    """A fitted estimator of scikit-learn."""

    def __init__(self, estimator: Any, number_of_classes: int) -> None:
        self.estimator = estimator
        self.number_of_classes = number_of_classes
        self.probabilities = hasattr(estimator, "predict_proba")
        self._row_by_row = type(estimator).__module__.split(".")[1] in ("tree", "dummy")

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        if self._row_by_row or not len(matrix):
            return self._scores(matrix) if len(matrix) else self._none()
        # Matrix products round differently for another number of rows; blocks of one height agree.
        padded = np.resize(matrix, (-(-len(matrix) // BLOCK) * BLOCK, matrix.shape[1]))
        blocks = [self._scores(padded[i : i + BLOCK]) for i in range(0, len(padded), BLOCK)]
        return np.concatenate(blocks)[: len(matrix)]

    def save(self, directory: Path) -> Mapping[str, Any]:
        write_estimator(self.estimator, directory)
        return {"format": "skops", "number_of_classes": self.number_of_classes}

    def _scores(self, matrix: np.ndarray) -> np.ndarray:
        if not self.number_of_classes:
            return np.asarray(self.estimator.predict(matrix), dtype=float).reshape(len(matrix))
        name = "predict_proba" if self.probabilities else "decision_function"
        if not hasattr(self.estimator, name):
            return self._votes(self.estimator.predict(matrix))
        values = np.asarray(getattr(self.estimator, name)(matrix), dtype=float)
        if self.number_of_classes == 2:
            return values[:, 1] if values.ndim == 2 else values
        scores = np.zeros((len(matrix), self.number_of_classes))
        scores[:, self.estimator.classes_.astype(int)] = values
        return scores

    def _votes(self, codes: np.ndarray) -> np.ndarray:
        votes = 2.0 * np.eye(self.number_of_classes)[codes.astype(int)] - 1
        return cast(np.ndarray, votes[:, 1] if self.number_of_classes == 2 else votes)

    def _none(self) -> np.ndarray:
        return np.empty((0, self.number_of_classes) if self.number_of_classes > 2 else 0)


@dataclass
class LinearModel(Learned):
    """Weights (outputs, numbers) and intercepts, and the link function of their sum."""

    weights: np.ndarray
    intercepts: np.ndarray
    link: str
    probabilities: bool = False

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        outputs = [
            (matrix * weights).sum(axis=1) + intercept
            for weights, intercept in zip(self.weights, self.intercepts, strict=True)
        ]
        values = LINKS[self.link](np.stack(outputs, axis=1))
        return cast(np.ndarray, values[:, 0] if len(outputs) == 1 else values)

    def save(self, directory: Path) -> Mapping[str, Any]:
        return {
            "format": "linear",
            "weights": self.weights.tolist(),
            "intercepts": self.intercepts.tolist(),
            "link": self.link,
            "probabilities": self.probabilities,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> LinearModel:
        weights, intercepts = np.array(saved["weights"]), np.array(saved["intercepts"])
        return cls(weights, intercepts, saved["link"], saved["probabilities"])


def _softmax(values: np.ndarray) -> np.ndarray:
    return cast(np.ndarray, softmax(values, axis=1))


LINKS: Mapping[str, Any] = {
    "identity": np.asarray,
    "exponential": np.exp,
    "sigmoid": expit,
    "softmax": _softmax,
}


def as_linear(model: SklearnModel, task: Task) -> LinearModel | None:
    """Return the model as weights if it is linear: checked on the rows that it learned from."""
    weights = getattr(model.estimator, "coef_", None)
    module = type(model.estimator).__module__.split(".")[1]
    if module not in ("linear_model", "svm") or not isinstance(weights, np.ndarray):
        return None
    weights = np.atleast_2d(weights).astype(float)
    offsets = np.ravel(getattr(model.estimator, "intercept_", 0.0)).astype(float)
    rows = task.matrix[:BLOCK]
    expected = model.scores(rows)
    for link in LINKS:
        intercepts = np.broadcast_to(offsets, len(weights)).copy()
        linear = LinearModel(weights, intercepts, link, model.probabilities)
        with np.errstate(over="ignore"):
            scores = linear.scores(rows)
        if scores.shape == expected.shape and np.allclose(scores, expected, rtol=1e-9, atol=1e-9):
            return linear
    return None


@cache
def estimator_class(name: str) -> type[Any]:
    """Return a regressor or classifier of scikit-learn by its public name: its package alone is
    imported, all of them only to tell which name was meant."""
    file = file_of(name)
    if file is not None:
        inside = file.relative_to(Path(sklearn.__file__).parent).with_suffix("").parts
        with deferred_imports(NOT_CALLED):
            name_of_module = ".".join(("sklearn", *inside)).removesuffix(".__init__")
            module = importlib.import_module(name_of_module)
        found = getattr(module, name, None)
        if isinstance(found, type) and issubclass(found, RegressorMixin | ClassifierMixin):
            return found
    classes: dict[str, type[Any]] = dict(all_estimators(type_filter=["regressor", "classifier"]))
    if name not in classes:
        raise DataError(
            f"scikit-learn has no regressor or classifier {name!r}"
            f"{did_you_mean(name, classes)}; write its class name, such as "
            "GradientBoostingRegressor"
        )
    return classes[name]


def make(name: str, args: Mapping[str, Any], seed: int) -> Any:
    """Build the seeded estimator; ``{name, args}`` inside args is another one."""
    found = estimator_class(name)
    parameters = inspect.signature(found).parameters
    built = {key: _with_estimators(value, seed) for key, value in args.items()}
    _check_args(name, parameters, built)
    seeded = {"random_state": seed} if "random_state" in parameters else {}
    return found(**{**seeded, **built})


def load(directory: Path, saved: Mapping[str, Any]) -> SklearnModel:
    """Load the saved estimator; its types are checked."""
    return SklearnModel(read_estimator(directory), saved["number_of_classes"])


def _with_estimators(value: Any, seed: int) -> Any:
    if isinstance(value, Mapping) and "name" in value and set(value) <= {"name", "args"}:
        return make(str(value["name"]), value.get("args", {}), seed)
    if isinstance(value, list):
        return [_with_estimators(item, seed) for item in value]
    return value


def _check_args(name: str, parameters: Mapping[str, Any], args: Mapping[str, Any]) -> None:
    optional = {key: one.default is not one.empty for key, one in parameters.items()}
    for message in unknown_args(name, optional, args):
        raise DataError(message)


def _first_line(error: Exception) -> str:
    return next(_lines(str(error)), type(error).__name__)


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())
