"""What directions in a model's states do to its rewards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from rmplug import Evaluator, Fit, Known, Metrics, Pairs, Responses, RewardModel
from rmplug.families import Names

from .projecting import no_probe

METRICS = (
    "reward-change-removed",
    "reward-change-plus",
    "reward-change-minus",
    "preference-changed",
    "cosine",
    "deviation-within-prompts",
)


class DirectionEffects(Evaluator):
    """Measure what the directions of a `probe` do to a reward: taken out of the states, or added.

    The model runs with its states changed at the layer that a probe read, and its rewards are
    compared with those before, in units of their standard deviation within prompts, which is what
    decides between responses. Each row needs another response to its prompt.

    Metrics, one ``subset`` per target and one ``place`` each, with 95 % intervals of a bootstrap
    over groups: ``reward-change-removed`` (mean size of the change when the direction is taken
    out), ``reward-change-plus`` and ``reward-change-minus`` (mean change when what the probe reads
    is raised or lowered by one standard deviation; two classes and numbers only), from pairs
    ``preference-changed`` (share of pairs whose order changes when it is taken out). What taking
    out random directions with the covariance of the states does stands beside it (``kind:
    baseline``), as many at once as the target has (``directions``: one for each of three classes or
    more). Where a linear head reads the states, ``cosine`` of its weights and the probe's,
    with an interval over folds, beside the middle 95 % of 200 random directions. Also
    ``deviation-within-prompts``, the unit.

    Each place and target takes three passes of the model over the rows, each random direction at a
    place one; where a `linear-head` reads the very states, one pass is enough for all.
    """

    kind = "direction-effects"
    requires = ("torch", "transformers", "safetensors", "scipy")
    extra = "hf"

    targets: Names = ()
    """The targets to measure, each by itself; by default all."""
    places: Names = ()
    """The places to measure, such as `states.layer-4`; by default all."""
    projection: Literal["orthogonal", "oblique"] = "orthogonal"
    """The way a direction is taken out and added, as with `projected`."""
    positions: Literal["all", "last"] = "all"
    """The tokens whose states are changed: all of them, or the last one of a conversation."""
    rows: int = Field(default=400, ge=2)
    """Most rows of data that the model is asked about: whole prompts, drawn at random."""
    random: int = Field(default=2, ge=1)
    """Draws of random directions per place; their numbers are the means over them."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(metrics=METRICS)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        yield from no_probe(inputs)
        model = inputs["model"][0]
        if model.outputs is not None and not model.outputs:
            yield "model", f"{model.step} gives no scores; name a reward model"

    def evaluate(
        self, model: RewardModel, data: Pairs | Responses, directions: Fit, *, seed: int
    ) -> Metrics:
        from ._effects import measure_effects

        return Metrics(measure_effects(self, model, data, directions, seed))
