"""Ensembles of reward models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rmplug import Known, ModelLoader, RewardModel


class Scale(BaseModel):
    """The mean and spread of a member's scores, on data that you choose."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mean: float = 0.0
    """Their mean."""
    deviation: float = Field(gt=0)
    """Their standard deviation."""


class Ensemble(ModelLoader):
    """Combine the scores of several reward models into one.

    Gives `reward` (the combination) and `member.<step>` for each member: the query `reward` makes
    of them `margin` and `margin.member.<step>`, and so on. Members are asked one after the other
    about each response alone, in the same process, and all are held in memory. A member with
    several outputs takes part with the one that is called `reward`.

    Members that were trained alike share a unit; others need `scales`, or the one with the widest
    scores decides alone.
    """

    kind = "ensemble"

    combine: Literal["mean", "median", "minimum", "pessimistic"] = "mean"
    """The combination of the members' scores: `minimum` is the worst case (Coste et al. 2023),
    `pessimistic` the mean minus `k` standard deviations (over the members, divided by their
    number)."""
    k: float = Field(default=1.0, ge=0)
    """The number of standard deviations that `pessimistic` subtracts."""
    scales: Mapping[str, Scale] = Field(default_factory=dict)
    """Mean and deviation of members' scores by their step: each score becomes
    `(score - mean) / deviation` before it is combined or kept. Give them for all members or for
    none: they are not estimated, so that a score does not depend on what else is scored."""
    members: bool = True
    """Return the score of each member, too."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for index, model in enumerate(inputs["models"]):
            if model.outputs is not None and not model.outputs:
                yield f"models.{index}", f"{model.step} gives no scores; name a reward model"

    def load(self, models: Sequence[RewardModel]) -> RewardModel:
        from ._ensemble import load_ensemble

        return load_ensemble(self, models)
