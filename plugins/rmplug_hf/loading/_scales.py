"""The scales of scores, of members or of one model: measured on a reference set, written, read and
applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from rmplug import DataError, Features, Predictor, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.metric_rows import number

from .members import MEMBER, SIDES, Scale, score_columns

FILE = "scales.json"
SCALES = TypeAdapter(dict[str, Scale])


def measure_scales(rewards: Features, by: str, directory: Path) -> list[dict[str, Any]]:
    """Measure the scale of each member or output, write them, and return their numbers."""
    columns = score_columns(rewards.values)
    if not columns:
        raise DataError(
            f"{rewards.name} has no scores (it has {some(rewards.values, 8)}); give what the query "
            "reward gives of a model, or of an ensemble with members: true"
        )
    table = rewards.table
    names = table["group" if "group" in table.column_names else "id"].to_numpy()
    scores = {
        member: np.stack([np.asarray(table[name].to_numpy(), dtype=np.float64) for name in each])
        for member, each in columns.items()
    }
    scored = np.isfinite(np.concatenate(list(scores.values()))).all(axis=0)
    notice("no finite score", table["id"].filter(~scored).to_pylist(), "dropped")
    groups = np.unique(names[scored].astype(str), return_inverse=True)[1]
    numbers: list[dict[str, Any]] = []
    for member, values in scores.items():
        numbers += _numbers(member, values[:, scored], groups, by)
    found: dict[str, dict[str, float]] = {}
    for one in numbers:
        found.setdefault(one["subset"], {})[one["metric"]] = one["value"]
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")
    return numbers


def _numbers(member: str, values: Array, groups: Array, by: str) -> list[dict[str, Any]]:
    """Return the mean and the deviation of scores of shape (sides, rows)."""
    if values.shape[1] < 2 or (by == "margins" and len(values) != 2):
        wanted = "scores of two pairs at least" if by == "margins" else "two rows at least"
        raise DataError(f"the scale of {member} needs {wanted}; give a larger reference set")
    middle = mean(values.mean(axis=0))
    centre = values.mean(axis=0) if by == "margins" else middle.value
    square = mean(((values - centre) ** 2).sum(axis=0) / (1 if by == "margins" else len(values)))
    deviation = float(np.sqrt(square.value))
    if not deviation > 0:
        raise DataError(f"all scores of {member} are the same on the reference set; leave it out")
    spread = Estimate(deviation, square.influence / (2 * deviation), "positive")
    return [
        number(name, one.value, values.shape[1], *one.interval(groups), subset=member)
        for name, one in (("mean", middle), ("deviation", spread))
    ]


@dataclass(frozen=True)
class ScorePredictor(Predictor):
    """The scale of each member or output; predicts scores on it."""

    scales: Mapping[str, Scale]

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        found = {}
        for member, scale in self.scales.items():
            output = "" if member == "reward" else f".{member}"
            forms = (f"{MEMBER}{member}", output)
            ends = tuple(f".{side}{form}" for side in SIDES for form in forms)
            names = [name for name in features.column_names if name.endswith(ends)]
            if len(names) != 1:
                raise DataError(
                    f"scales of {member} need one column of its scores, there are {len(names)}; "
                    "give rewards as those that were measured"
                )
            scores = np.asarray(features[names[0]].to_numpy(), dtype=np.float64)
            found[member] = (scores - scale.mean) / scale.deviation
        return found


def open_scales(directory: Path) -> ScorePredictor:
    """Read the scales in a directory; anything else is refused."""
    try:
        return ScorePredictor(SCALES.validate_python(read_json(directory / FILE)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(
            f"{directory / FILE} does not hold scales ({first['loc']}: {first['msg']}); give the "
            "folder that the step score-scales wrote, or measure again"
        ) from error
