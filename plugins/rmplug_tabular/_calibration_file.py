"""The file of a calibration, and the predictor read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Predictor
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.files import read_json

from ._calibration_forms import CalibrationForm, Growing, Slope

FILE, FORMAT = "calibration.json", 1


def write_calibration(directory: Path, form: CalibrationForm, column: str) -> None:
    """Write the form, and the column of margins that it was fitted on."""
    content = {"format": FORMAT, "column": column, **form.as_json()}
    (directory / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def open_calibration(directory: Path) -> CalibrationPredictor:
    """Open the calibration in a directory; anything else is refused."""
    path = directory / FILE
    content = read_json(path)
    try:
        if content["format"] != FORMAT or not isinstance(content["column"], str):
            raise ValueError("it is of another format")
        return CalibrationPredictor(_form_of(content), content["column"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} does not describe a calibration ({type(error).__name__}: {error}); give the "
            "folder that the step calibration wrote, or fit again"
        ) from error


def _form_of(content: Mapping[str, Any]) -> CalibrationForm:
    if "slope" in content:
        slope = float(content["slope"])
        if not np.isfinite(slope):
            raise ValueError("its slope is not finite")
        return Slope(slope)
    sizes, p = (np.asarray(content[n], dtype=np.float64) for n in ("sizes", "probabilities"))
    grows = sizes.ndim == 1 and sizes.shape == p.shape and len(p) > 0
    grows = grows and sizes[0] == 0 and p[0] == 0.5 and p[-1] < 1
    if not grows or not (np.diff(sizes) > 0).all() or not (np.diff(p) >= 0).all():
        raise ValueError("its points are those of no growing function from one half at 0")
    return Growing(sizes, p)


@dataclass(frozen=True)
class CalibrationPredictor(Predictor):
    """A predictor from margins of a reward: calibrated margin, probability and loss."""

    form: CalibrationForm
    column: str

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        margin = self.form.margins(self._read(features))
        with np.errstate(invalid="ignore"):
            loss = np.logaddexp(0.0, -margin)
        return {"margin": margin, "probability": np.exp(-loss), "loss": loss}

    def _read(self, features: pa.Table) -> Array:
        """Return the margins among joined features (``<step>.<column>``)."""
        names = [name for name in features.column_names if name not in ("id", "group")]
        fitting = [name for name in names if name.partition(".")[2] == self.column]
        fitting = fitting or (names if len(names) == 1 else [])
        if len(fitting) != 1:
            raise DataError(
                f"a calibration takes one column {self.column!r} of one reward, there are "
                f"{len(fitting)} (given: {some(names, 8)}); give the reward of the model that was "
                "calibrated"
            )
        return np.asarray(features[fitting[0]].to_numpy(), dtype=np.float64)
