"""The combination of the scores of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rmplug import DataError, Fit, RewardModel
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.notices import counted_once

from ._scales import open_scales
from .members import Combination, Scale, unmatched

if TYPE_CHECKING:
    from .ensembles import Ensemble

REWARD = "reward"


def load_ensemble(
    step: Ensemble, models: Sequence[RewardModel], reference: Fit | None
) -> EnsembleModel:
    """Load all members, under the names of their steps."""
    if len(models) < 2:
        raise DataError("an ensemble needs two models at least")
    members: dict[str, RewardModel] = {}
    for position, model in enumerate(models, 1):
        members.setdefault(model.name or f"model-{position}", model)
    if len(members) < len(models):
        raise DataError(f"a model is in the ensemble twice: {some(m.name for m in models)}")
    scales = scales_of(step, list(members), reference)
    return EnsembleModel(step, scales, {name: model.open() for name, model in members.items()})


def scales_of(
    step: Combination, members: Sequence[str], reference: Fit | None
) -> Mapping[str, Scale]:
    """Return the scales of members, given or measured; refuse scales and weights of others."""
    scales = step.scales if reference is None else open_scales(reference.directory).scales
    for what, given in (("weights", step.weights), ("scales", scales)):
        for fault in unmatched(what, given, members):
            raise DataError(fault)
    return scales


class EnsembleModel(RewardModel):
    """An ensemble; its scores (rows, outputs) are the combination, then those of each member."""

    def __init__(
        self, step: Ensemble, scales: Mapping[str, Scale], members: Mapping[str, RewardModel]
    ) -> None:
        self.step, self.scales = step, scales
        weights = [step.weights[name] for name in members] if step.weights else []
        self.weights = np.array(weights)
        self.models = dict(members)
        self.columns = {name: column_of_reward(name, model) for name, model in members.items()}
        kept = tuple(f"member.{name}" for name in members) if step.members else ()
        self.outputs = (REWARD, *kept)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs)."""
        with counted_once():  # a row that several members cut is one row
            scores = np.stack([self._of(name, responses) for name in self.models], axis=1)
        whole = combined(scores, self.step.combine, self.step.k, self.weights)
        return np.column_stack([whole, scores]) if self.step.members else whole

    def _of(self, name: str, responses: pa.RecordBatch) -> Array:
        """Return a member's scores, of shape (rows,), on the common scale."""
        model = self.models[name]
        outputs = np.asarray(model.score(responses), dtype=np.float64)
        scores: Array = outputs.reshape(responses.num_rows, len(model.outputs))[
            :, self.columns[name]
        ]
        scale = self.scales.get(name)
        return scores if scale is None else (scores - scale.mean) / scale.deviation


def column_of_reward(name: str, model: RewardModel) -> int:
    """Return the index of the output that takes part."""
    if len(model.outputs) == 1:
        return 0
    if REWARD in model.outputs:
        return model.outputs.index(REWARD)
    raise DataError(
        f"{name} has the outputs {some(model.outputs)}; set only: to the one that takes part in "
        "the ensemble"
    )


def combined(scores: Array, how: str, k: float, weights: Array) -> Array:
    """Combine scores of shape (rows, members) into one per row; NaN where any is NaN."""
    if how == "weighted":
        # a missing score stays missing at a weight of 0 too
        return np.asarray((scores * weights).sum(axis=1))
    if how == "median":
        return np.asarray(np.median(scores, axis=1))
    if how == "minimum":
        return np.asarray(scores.min(axis=1))
    spread = k * scores.std(axis=1) if how == "pessimistic" else 0.0
    return np.asarray(scores.mean(axis=1) - spread)
