"""A reward model in units of a reference set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rmplug import Fit, Known, ModelLoader, RewardModel

from .ensembles import ScoreScales
from .members import mismatch


class Normalized(ModelLoader):
    """Give the rewards of a model in units of a reference set: mean 0 and deviation 1 there.

    Takes `model` and `reference`, a `score-scales` of the same model's rewards on data that you
    name: each score becomes `(score - mean) / deviation`, for each output by its own scale. The
    scale is stored, so that a score never depends on what else is scored; the order of responses,
    and so accuracy, stays as it is. With `by: margins` of `score-scales`, the unit is the spread
    within pairs. Margins, probabilities and losses are those of the new unit: they are no better
    calibrated than before (`calibration`). Of a model that compares, only scores are scaled.
    """

    kind = "normalized"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["model"][0].outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        model, reference = inputs["model"][0], inputs["reference"][0]
        if model.compares or (model.outputs is not None and not model.outputs):
            yield "model", f"{model.step} gives no scores of responses; name a reward model"
        elif reference.made_by is not None and not isinstance(reference.made_by, ScoreScales):
            kind = reference.made_by.kind
            yield "reference", f"{reference.step} is made by {kind}; give a step score-scales"
        elif reference.outputs is not None and model.outputs is not None:
            fault = mismatch(reference.outputs, model.outputs)
            yield from [("reference", f"{reference.step}: {fault}")] if fault else []

    def load(self, model: RewardModel, reference: Fit) -> RewardModel:
        from ._normalized import load_normalized

        return load_normalized(model, reference)
