"""Scores of several models made one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.errors import did_you_mean, some

if TYPE_CHECKING:
    from .ensembles import Ensemble, Scale

REWARD = "reward"


def load_ensemble(step: Ensemble, models: Sequence[RewardModel]) -> EnsembleModel:
    """All members, loaded, under the names of their steps."""
    if len(models) < 2:
        raise DataError("an ensemble needs two models at least")
    members: dict[str, RewardModel] = {}
    for place, model in enumerate(models, 1):
        members.setdefault(model.name or f"model-{place}", model)
    if len(members) < len(models):
        raise DataError(f"a model is in the ensemble twice: {some(m.name for m in models)}")
    check_scales(step.scales, list(members))
    return EnsembleModel(step, {name: model.open() for name, model in members.items()})


def check_scales(scales: Mapping[str, Scale], members: Sequence[str]) -> None:
    """Scales must be given for all members or for none."""
    unknown = [name for name in scales if name not in members]
    if unknown:
        raise DataError(
            f"scales names {unknown[0]!r}, which is no member{did_you_mean(unknown[0], members)}; "
            f"members are {some(members)}"
        )
    missing = [name for name in members if name not in scales] if scales else []
    if missing:
        raise DataError(f"scales lacks {some(missing)}; give the scale of every member, or of none")


class EnsembleModel(RewardModel):
    """Scores of shape (rows, outputs): the combination, then each member's."""

    def __init__(self, step: Ensemble, members: Mapping[str, RewardModel]) -> None:
        self.step = step
        self.models = dict(members)
        self.places = {name: place_of_reward(name, model) for name, model in members.items()}
        kept = tuple(f"member.{name}" for name in members) if step.members else ()
        self.outputs = (REWARD, *kept)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Scores of shape (rows, outputs)."""
        scores = np.stack([self._of(name, responses) for name in self.models], axis=1)
        whole = combined(scores, self.step.combine, self.step.k)
        return np.column_stack([whole, scores]) if self.step.members else whole

    def _of(self, name: str, responses: pa.RecordBatch) -> Array:
        """A member's scores, of shape (rows,), on the common scale."""
        model = self.models[name]
        found = np.asarray(model.score(responses), dtype=np.float64)
        scores: Array = found.reshape(responses.num_rows, len(model.outputs))[:, self.places[name]]
        scale = self.step.scales.get(name)
        return scores if scale is None else (scores - scale.mean) / scale.deviation


def place_of_reward(name: str, model: RewardModel) -> int:
    """Which of a model's outputs takes part."""
    if len(model.outputs) == 1:
        return 0
    if REWARD in model.outputs:
        return model.outputs.index(REWARD)
    raise DataError(
        f"{name} has the outputs {some(model.outputs)}; set only: to the one that takes part in "
        "the ensemble"
    )


def combined(scores: Array, how: str, k: float) -> Array:
    """One score per row, from scores of shape (rows, members); one that is missing is missing."""
    if how == "median":
        return np.asarray(np.median(scores, axis=1))
    if how == "minimum":
        return np.asarray(scores.min(axis=1))
    spread = k * scores.std(axis=1) if how == "pessimistic" else 0.0
    return np.asarray(scores.mean(axis=1) - spread)
