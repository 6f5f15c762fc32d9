"""A reward model with its calibration: its folder, and its scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Checkpoint, DataError, Fit, PlanView, RewardModel
from rmplug.arrays import Array
from rmplug.data.sides import side_of
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.models.reopen import open_trained

from ._calibration_file import FILE, CalibrationPredictor, open_calibration
from ._calibration_forms import Slope

CONFIG, MODEL, KIND, FORMAT = "config.json", "model", "calibrated", 1
REWARD, MARGIN = "reward", "margin"


def save_calibrated(
    model: Checkpoint, calibration: Fit, plan: PlanView | None, directory: Path
) -> list[dict[str, Any]]:
    """Write the folder; return the numbers of the model and of the calibration."""
    open_calibration(calibration.directory)
    if plan is not None:
        _refuse_another_model(model.name, calibration.name, plan)
    shutil.copytree(model.directory, directory / MODEL)
    shutil.copy2(calibration.directory / FILE, directory / FILE)
    config = {"format": FORMAT, "kind": KIND, "model": {"kind": model.made_by.kind}}  # type: ignore[attr-defined]
    (directory / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return [*model.numbers, *calibration.numbers]


def _refuse_another_model(model: str, calibration: str, plan: PlanView) -> None:
    """Refuse a calibration of the margins of another model, as far as the plan tells: margins that
    are put together by a loop, or come from a file, may be anyone's."""
    steps = {step.id: step for step in plan.steps}
    fitted = steps.get(calibration)
    rewards = [ref.partition(".")[0] for ref in fitted.inputs.get("reward", ())] if fitted else []
    asked = [m for one in rewards if one in steps for m in steps[one].inputs.get("model", ())]
    if asked and model not in asked:
        raise DataError(
            f"{calibration} was fitted on margins of {asked[0]}, not of {model}; calibrate on the "
            f"rewards of {model}"
        )


def open_calibrated(directory: Path, changed: Mapping[str, Any]) -> CalibratedModel:
    """Open the model of a folder, and its calibration; anything else is refused."""
    config = read_json(directory / CONFIG)
    try:
        kind = config["model"]["kind"]
        if config["kind"] != KIND or config["format"] != FORMAT or not isinstance(kind, str):
            raise ValueError("it is of another kind or format")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{directory / CONFIG} does not describe a calibrated model ({type(error).__name__}: "
            f"{error}); give the folder that the step calibrated wrote"
        ) from error
    if kind == KIND:
        raise DataError(f"{directory} is a calibration of a calibrated model; calibrate its model")
    calibration = open_calibration(directory)
    return CalibratedModel(open_trained(kind, directory / MODEL, directory, **changed), calibration)


class CalibratedModel(RewardModel):
    """A model whose margins are log-odds that hold; rewards are scaled where that is enough."""

    def __init__(self, model: RewardModel, calibration: CalibrationPredictor) -> None:
        self.model, self.form = model, calibration.form
        self.outputs = tuple(model.outputs)
        self.elsewhere, self.antisymmetric = model.elsewhere, model.antisymmetric
        self.at = _output_of(self.outputs, calibration.column)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores as the model's; the calibrated one is times the slope, if it has one."""
        scores = np.array(self.model.score(responses), dtype=np.float64)
        if isinstance(self.form, Slope):
            scores[..., self.at if len(self.outputs) > 1 else slice(None)] *= self.form.slope
        return scores

    def compare(self, pairs: pa.RecordBatch) -> Array | None:
        """Return calibrated margins where rewards alone do not give them; else None."""
        margins = self.model.compare(pairs)
        if margins is None and isinstance(self.form, Slope):
            return None
        if margins is None:
            chosen, rejected = (self._scores(pairs, side) for side in ("chosen", "rejected"))
            margins = chosen - rejected
        return self.form.margins(np.asarray(margins, dtype=np.float64))

    def _scores(self, pairs: pa.RecordBatch, side: str) -> Array:
        """Return the model's own scores of one side, of shape (rows,)."""
        scores = np.asarray(self.model.score(side_of(pairs, side)), dtype=np.float64)
        matrix: Array = scores.reshape(pairs.num_rows, len(self.outputs))
        return matrix[:, self.at]


def _output_of(outputs: tuple[str, ...], column: str) -> int:
    """Return the index of the output whose margins (``margin``, ``margin.<output>``) were
    fitted."""
    name = column.removeprefix(MARGIN).removeprefix(".") or REWARD
    if name in outputs:
        return outputs.index(name)
    if len(outputs) == 1:
        return 0
    raise DataError(
        f"the calibration was fitted on {column!r}, and the model has the outputs {some(outputs)}; "
        "calibrate on the rewards of this model"
    )
