"""Combinations of rewards that are there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rmplug import FeatureComputer, Features, Fit, Known, Pairs, Responses
from rmplug.known import joined_twice

from .members import MEMBER, Combination


class CombineRewards(Combination, FeatureComputer):
    """Combine the rewards that several models gave the same rows, without asking a model again.

    Gives what `reward` gives of an `ensemble` of these models: from pairs `chosen`, `rejected`,
    `margin`, `probability` and `loss`, from responses `reward`; and each of the scores and margins
    per member, such as `margin.member.<step>`. A missing score of one member is a missing score of
    the combination, and counted. Rewards that are margins alone (a judge that compares both
    responses, a calibrated fit) can be averaged, weighed, or have their median taken.

    Rewards of different models need a common scale: leave out `reference` first, give the result
    to `score-scales`, and that fit to a second step as `reference`. Measure scales, and choose
    weights and the combination, on other prompts than those it is evaluated on: `data`, a part of
    the rewards' rows (`split`), keeps only its rows.

    - `disagreement`: standard deviation over the members of their margins (of responses: of their
      scores), in the unit of their scale; 0 where all say the same.
    - `opposite`, of pairs: of all pairs of members, how many prefer different responses; a tie is
      on neither side.
    """

    kind = "combine-rewards"

    members: bool = True
    """Return the scores and margins of each member, too."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        columns = [reward.columns for reward in inputs["rewards"]]
        names = [reward.step for reward in inputs["rewards"]]
        known = [one for one in columns if one is not None]
        if len(known) < len(columns) or "item" in names or len(set(names)) < len(names):
            return Known()
        if all("reward" in one for one in known):
            own, further = ["reward"], ["disagreement"]
        else:
            both = all("chosen" in one and "rejected" in one for one in known)
            own = [*(("chosen", "rejected") if both else ()), "margin"]
            further = ["probability", "loss", "disagreement", "opposite"]
        kept = [f"{column}{MEMBER}{name}" for name in names for column in own]
        whole = [*own, *further, *(kept if self.members else ())]
        return Known(columns=dict.fromkeys(whole, "number"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        rewards = inputs["rewards"]
        if len(rewards) < 2:
            yield "rewards", "a combination needs two rewards at least"
        elif twice := joined_twice(rewards):
            yield "rewards", twice
        kinds = set()
        for index, reward in enumerate(rewards):
            columns = reward.columns
            if columns is None:
                continue
            kinds.add("reward" in columns)
            if "reward" not in columns and "margin" not in columns:
                yield f"rewards.{index}", f"{reward.step} has no column reward or margin"
            elif self.needs_sides and "reward" not in columns and "chosen" not in columns:
                yield (
                    "combine",
                    f"{self.combine} needs the scores of both responses, and {reward.step} gives "
                    "margins alone; use mean, weighted or median",
                )
        if len(kinds) > 1:
            yield "rewards", "some are rewards of pairs, others of responses; name one sort"
        names = [reward.step for reward in rewards]
        yield from self.unmatched_members(
            None if "item" in names else names, inputs.get("reference", ())
        )

    @property
    def needs_sides(self) -> bool:
        """Whether the combination depends on more than margins."""
        return self.combine in ("minimum", "pessimistic")

    def compute(
        self,
        rewards: Sequence[Features],
        reference: Fit | None = None,
        data: Pairs | Responses | None = None,
    ) -> Features:
        from ._combining import combine_rewards, rows_of

        taken = rewards if data is None else [rows_of(data, one) for one in rewards]
        return combine_rewards(self, taken, reference)
