"""Ensembles of reward models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rmplug import Estimator, Features, Fit, Known, ModelLoader, Predictor, RewardModel
from rmplug.errors import some

from .members import Combination, members_of, score_columns


class ScoreScales(Estimator):
    """Measure mean and spread of the scores of a model, or of each member of an ensemble.

    ``rewards`` is what the query `reward` gives on a reference set: of an `ensemble` without scales
    (with its `members`, as by default), which can then weigh them, or of one model, which
    `normalized` then gives in units of that set. Scores of different models are in different units,
    and one set of rows gives all of them a common one. The fit is stored, so that a score never
    depends on what else is scored.

    Numbers, one ``subset`` per member or output (`reward`), with 95 % intervals over groups:
    ``mean`` and ``deviation``, in the model's own unit. The fit ``predict``s a column for each: its
    scores on the scale. Saved as JSON.
    """

    kind = "score-scales"

    by: Literal["scores", "margins"] = "scores"
    """The spread: the standard deviation of all scores, which differ between prompts as well; or,
    from pairs, that of the two scores of a pair (the root of half the mean squared margin), which
    is all that preferences determine."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=members_of(inputs["rewards"][0]))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        rewards = inputs["rewards"][0]
        if rewards.columns is None:
            return
        columns = score_columns(rewards.columns).values()
        margins = all(len(sides) == 2 for sides in columns)
        if not members_of(rewards):
            yield (
                "rewards",
                f"{rewards.step} gives no scores; give what the query reward gives of a model",
            )
        elif self.by == "margins" and not margins:
            yield "by", f"{rewards.step} gives no margins; ask the model about pairs"

    def fit(self, rewards: Features, *, directory: Path) -> Fit:
        from ._scales import measure_scales

        return Fit(directory, type(self), measure_scales(rewards, self.by, directory))

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._scales import open_scales

        return open_scales(directory)


class Ensemble(Combination, ModelLoader):
    """Combine the scores of several reward models into one.

    Gives `reward` (the combination) and `member.<step>` for each member: the query `reward` makes
    of them `margin` and `margin.member.<step>`, and so on. Members are asked one after the other
    about each response alone, in the same process, and all are held in memory. A member with
    several outputs takes part with the one that is called `reward`.

    Members that were trained alike share a unit; others need a scale each (the input `reference`, a
    `score-scales`, or the parameter), or the one with the widest scores decides alone. One model
    per aspect and `combine: weighted` make a reward of several aspects.
    """

    kind = "ensemble"

    members: bool = True
    """Return the score of each member, too."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        names = _steps(inputs["models"])
        if names is None:
            return Known()
        return Known(outputs=("reward", *(f"member.{name}" for name in names if self.members)))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for index, model in enumerate(inputs["models"]):
            if model.outputs is not None and not model.outputs:
                yield f"models.{index}", f"{model.step} gives no scores; name a reward model"
            elif len(model.outputs or ()) > 1 and "reward" not in (model.outputs or ()):
                yield (
                    f"models.{index}",
                    f"{model.step} has the outputs {some(model.outputs or ())}; set only: to the "
                    "one that takes part in the ensemble",
                )
        yield from self.unmatched_members(_steps(inputs["models"]), inputs.get("reference", ()))

    def load(self, models: Sequence[RewardModel], reference: Fit | None = None) -> RewardModel:
        from ._ensemble import load_ensemble

        return load_ensemble(self, models, reference)


def _steps(models: Sequence[Known]) -> list[str] | None:
    """Return the names of the members; None where only running tells what an item is."""
    names = [model.step for model in models]
    return None if "item" in names else names
