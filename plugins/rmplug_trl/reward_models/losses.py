"""The losses of reward models: what the rewards of rows should be like.

A loss of a plugin's own is a subclass of ``RewardLoss``, and a subclass of the trainer whose
``loss`` has that type.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.arrays import Array

    from ._losses import LossFunction
    from ._targets import Targets


class RewardLoss(BaseModel):
    """The base of losses. ``of`` names the data that it learns from."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    of: ClassVar[Literal["pairs", "responses", "lists"]]
    """One row is a pair, a response, or all responses to one prompt."""

    @property
    def outputs(self) -> int | None:
        """The number of rewards of each response; None where any will do."""
        return 1

    def metric(self, columns: Collection[str]) -> str:
        """Return the name of the number that the loss is on rows with these columns: that of a
        validation metric if it is the same, so that both are drawn together, else `loss`."""
        return "loss"

    def targets(self, table: pa.Table) -> Targets:
        """Return what the loss needs of each row of the data beside its texts."""
        raise NotImplementedError

    def winners(self, table: pa.Table) -> Array | None:
        """Return what the labels of pairs say, of shape (rows,): above 0 where chosen is better,
        below 0 where rejected is, 0 or NaN where neither; None where chosen always is."""
        return None

    def function(self, targets: Targets) -> LossFunction:
        """Return the loss, ready to be used on rewards of rows with these targets."""
        raise NotImplementedError


class BradleyTerry(RewardLoss):
    """`-log sigmoid(reward(chosen) - reward(rejected) - margin)` (Bradley and Terry 1952; margins:
    Touvron et al. 2023), weighted by the column `weight`."""

    of = "pairs"

    kind: Literal["bradley-terry"] = "bradley-terry"
    center_rewards_coefficient: float = Field(default=0.0, ge=0)
    """Adds this times the mean of `(reward(chosen) + reward(rejected))²`, which keeps rewards near
    zero (Eisenstein et al. 2023); 0.01 is usual."""
    label_smoothing_factor: float = Field(default=0.0, ge=0, lt=0.5)
    """The share of labels that are taken to be wrong: each pair counts as much for the other
    order."""
    soft_labels: str | None = None
    """Column with the probability, from 0 to 1, that chosen is better, such as the share of
    annotators who said so; by default 1. With `margin` it makes no sense."""
    margins: bool = True
    """Subtract the column `margin` where the data have one. `to-pairs` writes differences of
    ratings there, which are in another unit than rewards: `false` leaves them out."""

    def metric(self, columns: Collection[str]) -> str:
        read = {"weight", "margin"} if self.margins else {"weight"}
        other = self.center_rewards_coefficient or self.label_smoothing_factor or self.soft_labels
        return "loss" if other or read & set(columns) else "log-loss"

    def targets(self, table: pa.Table) -> Targets:
        from ._targets import pair_targets

        if not self.margins and "margin" in table.column_names:
            table = table.drop_columns("margin")
        return pair_targets(table, self.soft_labels, None)

    def winners(self, table: pa.Table) -> Array | None:
        from ._targets import numbers_in

        return None if self.soft_labels is None else numbers_in(table, self.soft_labels) - 0.5

    def function(self, targets: Targets) -> LossFunction:
        from ._losses import BradleyTerryLoss

        return BradleyTerryLoss(self.center_rewards_coefficient, self.label_smoothing_factor)


class Davidson(RewardLoss):
    """Bradley-Terry with ties (Davidson 1970): a tie has the odds `nu * sqrt(odds of a win * odds
    of a loss)`, where `nu` is learnt. With `ab-file`, keep ties by `ties: half`."""

    of = "pairs"

    kind: Literal["davidson"] = "davidson"
    ties: str = "label"
    """Column that says `tie` where neither response is better."""
    center_rewards_coefficient: float = Field(default=0.0, ge=0)
    """Adds this times the mean of `(reward(chosen) + reward(rejected))²`."""

    def targets(self, table: pa.Table) -> Targets:
        from ._targets import pair_targets

        return pair_targets(table, None, self.ties)

    def winners(self, table: pa.Table) -> Array | None:
        from ._targets import ties_in

        return 1 - ties_in(table, self.ties)

    def function(self, targets: Targets) -> LossFunction:
        from ._losses import DavidsonLoss

        return DavidsonLoss(self.center_rewards_coefficient, targets)


class Regression(RewardLoss):
    """The squared difference of rewards and ratings, weighted by the column `weight`: one output
    for each target. A rating that is missing is left out; a response without any is dropped and
    counted."""

    of = "responses"

    kind: Literal["regression"] = "regression"
    ratings: tuple[str, ...] = Field(min_length=1, examples=[["ratings.helpfulness"]])
    """Numeric columns of responses, in the order of the model's outputs, such as
    `[ratings.helpfulness, ratings.harmlessness]`."""
    delta: float | None = Field(default=None, gt=0)
    """Beyond this difference the loss is linear (Huber 1964); by default always squared."""

    @property
    def outputs(self) -> int | None:
        return len(self.ratings)

    def targets(self, table: pa.Table) -> Targets:
        from ._targets import rating_targets

        return rating_targets(table, self.ratings)

    def metric(self, columns: Collection[str]) -> str:
        return "mse" if self.delta is None and "weight" not in columns else "loss"

    def function(self, targets: Targets) -> LossFunction:
        from ._losses import RegressionLoss

        return RegressionLoss(self.delta, targets)


class PlackettLuce(RewardLoss):
    """Minus the log-probability of the order of all responses to a prompt (Luce 1959, Plackett
    1975), the mean over prompts. Responses with the same rank are in no order: each is only below
    those above it. A choice of one response from those below it is weighted by the column `weight`
    of that response."""

    of = "lists"

    kind: Literal["plackett-luce"] = "plackett-luce"
    by: str = "rank"
    """Numeric column with the order: `rank`, where smaller is better, or any other, where larger is
    better (`score`, `ratings.helpfulness`)."""
    top: int | None = Field(default=None, ge=1)
    """Only the order of the best so many counts."""

    def targets(self, table: pa.Table) -> Targets:
        from ._targets import rank_targets

        return rank_targets(table, self.by)

    def function(self, targets: Targets) -> LossFunction:
        from ._losses import PlackettLuceLoss

        return PlackettLuceLoss(self.top)


AnyLoss: TypeAlias = Annotated[
    BradleyTerry | Davidson | Regression | PlackettLuce, Field(discriminator="kind")
]
