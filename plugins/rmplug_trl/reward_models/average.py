"""The average of the weights of several reward models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from rmplug import Checkpoint, Known, Pairs, Responses, RewardModel, Trainer
from rmplug_trl.training.reopening import open_trained


class Average(Trainer):
    """Average the weights of several reward models of one architecture into one model.

    Models that were trained from the same weights, with other seeds, data or settings, have
    averages that are as good as their ensemble at the cost of one (Wortsman et al. 2022; for reward
    models Ramé et al. 2024). Adapters are merged into their models first. All must have the same
    outputs and read conversations alike. Numbers, on up to 32 responses (the chosen ones of pairs)
    from the whole of ``data``: `spread`, the largest difference of two models' scores, and `apart`,
    the largest difference of the average's scores from the mean of theirs; models that do not
    belong together are far apart.
    """

    kind = "average"
    requires = ("torch", "transformers", "peft", "safetensors")
    extra = "trl"

    weights: tuple[float, ...] | None = Field(default=None, min_length=2)
    """The share of each model, in order; scaled to add up to 1. By default all the same."""

    @model_validator(mode="after")
    def _check_weights(self) -> Average:
        if self.weights is not None and not sum(self.weights) > 0:
            raise ValueError("weights must add up to more than 0")
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report weights that are not as many as the models."""
        count = len(inputs["models"])
        if count < 2:
            yield "models", "an average needs two models at least"
        elif self.weights is not None and len(self.weights) != count:
            yield "weights", f"{len(self.weights)} weights for {count} models"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["models"][0].outputs)

    def train(
        self, models: Sequence[Checkpoint], data: Pairs | Responses, *, directory: Path
    ) -> Checkpoint:
        from ._average import average

        numbers = average(models, self.weights, data, type(self), directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Load the model; ``changed`` overrides what its format says (`device`, `dtype`…)."""
        return open_trained("sequence-classifier", directory, changed)
