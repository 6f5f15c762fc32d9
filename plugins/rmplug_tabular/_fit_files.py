"""The files of a fit: ``fit.json`` and the model's own; and the predictor read from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import DataError, Predictor, notice
from rmplug.models.files import read_json

from ._feature_matrix import Column, Examples, Missing, read_matrix
from ._learners import Learned, Preparation, PreparedModel

FIT_FILE = "fit.json"
LIBRARY = {
    "linear": "scikit-learn",
    "skops": "scikit-learn",
    "lightgbm": "lightgbm",
    "boosted-line": "lightgbm",
}


def write_fit(directory: Path, model: PreparedModel, examples: Examples, missing: Missing) -> None:
    """Write everything that predicting needs, none of it executable."""
    saved = model.learned.save(directory)
    library = LIBRARY[saved["format"]]
    fit = {
        "library": f"{library} {version(library)}",
        "columns": [asdict(column) for column in examples.columns],
        "classes": list(examples.classes),
        "missing": missing,
        "preparation": model.preparation.to_json(),
        "model": dict(saved),
    }
    (directory / FIT_FILE).write_text(json.dumps(fit, indent=1), encoding="utf-8")


def open_fit(directory: Path) -> TabularPredictor:
    """Open the fit in a directory; anything else is refused."""
    fit = read_json(directory / FIT_FILE)
    try:
        preparation = Preparation.from_json(fit["preparation"])
        return TabularPredictor(
            PreparedModel(preparation, _learned(directory, fit["model"])),
            tuple(Column(**column) for column in fit["columns"]),
            tuple(fit["classes"]),
            fit["missing"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{directory / FIT_FILE} does not describe a fit ({type(error).__name__}: {error}); "
            "give the folder that an estimator wrote, or fit again"
        ) from error


def _learned(directory: Path, saved: Mapping[str, Any]) -> Learned:
    if saved["format"] == "lightgbm":
        from . import _lightgbm_models

        return _lightgbm_models.load(directory, saved)
    if saved["format"] == "boosted-line":
        from . import _boosted_line

        return _boosted_line.load(directory, saved)
    from . import _sklearn_models

    if saved["format"] == "linear":
        return _sklearn_models.LinearModel.from_json(saved)
    return _sklearn_models.load(directory, saved)


class TabularPredictor(Predictor):
    """A predictor from joined features: ``prediction`` is a number, or for two classes the
    probability (or decision value) of the higher one, or for more the likeliest class; then there
    is also ``probability.<class>`` (``decision.<class>``) for each."""

    def __init__(
        self,
        model: PreparedModel,
        columns: Sequence[Column],
        classes: Sequence[float],
        missing: Missing,
    ) -> None:
        self.model, self.columns = model, tuple(columns)
        self.classes, self.missing = tuple(classes), missing

    def predict(self, features: pa.Table) -> Mapping[str, np.ndarray]:
        table = matched(features, [column.name for column in self.columns])
        matrix = read_matrix(table, self.columns)
        holes = np.isnan(matrix).any(axis=1) & (self.missing in ("error", "drop"))
        if holes.any():
            self._report(holes, features)
        complete = self._scores(matrix[~holes])
        scores = np.full((len(matrix), *complete.shape[1:]), np.nan)
        scores[~holes] = complete
        return self._named(scores)

    def _scores(self, matrix: np.ndarray) -> np.ndarray:
        try:
            with threadpool_limits(1):
                return self.model.scores(matrix)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"the fit cannot predict ({line:.300}); fit again") from error

    def _report(self, holes: np.ndarray, features: pa.Table) -> None:
        ids = features["id"].filter(holes).to_pylist() if "id" in features.column_names else []
        if self.missing == "error":
            raise DataError(
                f"{np.count_nonzero(holes)} rows have missing features (ids {', '.join(ids[:5])}); "
                "fit with missing: drop (they get no prediction) or missing: impute-median"
            )
        notice("missing feature values, no prediction", ids, "kept")

    def _named(self, scores: np.ndarray) -> Mapping[str, np.ndarray]:
        if scores.ndim == 1:
            return {"prediction": scores}
        word = "probability" if self.model.learned.probabilities else "decision"
        likeliest = np.array(self.classes)[np.nan_to_num(scores).argmax(axis=1)]
        each = {f"{word}.{c:g}": scores[:, i] for i, c in enumerate(self.classes)}
        return {"prediction": np.where(np.isnan(scores).any(axis=1), np.nan, likeliest), **each}


def matched(features: pa.Table, needed: Sequence[str]) -> pa.Table:
    """Match the needed columns by name; steps of other names replace those of the fit, in order."""
    columns = [name for name in features.column_names if name not in ("id", "group")]
    names = {name: name for name in columns}
    if not set(needed) <= set(columns):
        steps, fitted = _steps(columns), _steps(needed)
        if len(steps) == len(fitted):
            stand_in = dict(zip(steps, fitted, strict=True))
            names = {_renamed(name, stand_in): name for name in columns}
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(
            f"the fit needs {len(needed)} features and {len(missing)} are missing: "
            f"{', '.join(missing[:5])}; give the steps it was fitted on, in the same order "
            f"(given: {', '.join(columns[:8])})"
        )
    return pa.table({name: features[names[name]] for name in needed})


def _steps(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _renamed(name: str, stand_in: Mapping[str, str]) -> str:
    step, dot, column = name.partition(".")
    return f"{stand_in[step]}{dot}{column}"
