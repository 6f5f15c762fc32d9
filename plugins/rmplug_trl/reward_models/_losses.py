"""Losses of reward models on rewards of shape (sequences, outputs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.functional import huber_loss, logsigmoid

from ._targets import Targets

Columns: TypeAlias = Mapping[str, torch.Tensor]


class LossFunction(nn.Module):  # type: ignore[misc]
    """A loss; its own parameters, if it has any, are trained with the network.

    ``forward(rewards, columns)`` gets float32 rewards and the columns of its targets: of pairs the
    rewards are those of all chosen, then of all rejected responses, and columns have one entry a
    pair; of lists a column ``list`` numbers the list of each response.
    """

    def numbers(self) -> dict[str, float]:
        """Return what was learnt beside the network."""
        return {}


class BradleyTerryLoss(LossFunction):
    """Bradley-Terry with margins, smoothing, soft labels, weights and centring."""

    def __init__(self, centring: float, smoothing: float) -> None:
        super().__init__()
        self.centring, self.smoothing = centring, smoothing

    def forward(self, rewards: torch.Tensor, columns: Columns) -> torch.Tensor:
        chosen, rejected = sides(rewards)
        lead = chosen - rejected - columns["margin"]
        sure = columns["soft"] * (1 - 2 * self.smoothing) + self.smoothing
        each = -sure * logsigmoid(lead) - (1 - sure) * logsigmoid(-lead)
        return (columns["weight"] * each).mean() + centred(chosen, rejected, self.centring)


class DavidsonLoss(LossFunction):
    """Bradley-Terry with ties, whose odds are learnt."""

    def __init__(self, centring: float, targets: Targets) -> None:
        super().__init__()
        share = float(np.clip(targets.columns["tie"].mean(), 0.01, 0.99))
        # the odds of a tie if all responses were equally good
        self.log_nu = nn.Parameter(torch.tensor(float(np.log(2 * share / (1 - share)))))
        self.centring = centring

    def forward(self, rewards: torch.Tensor, columns: Columns) -> torch.Tensor:
        chosen, rejected = sides(rewards)
        half = (chosen - rejected - columns["margin"]) / 2
        ways = torch.stack([half, -half, self.log_nu.expand_as(half)])
        each = ways.logsumexp(0) - torch.where(columns["tie"] > 0, self.log_nu, half)
        return (columns["weight"] * each).mean() + centred(chosen, rejected, self.centring)

    def numbers(self) -> dict[str, float]:
        return {"nu": float(self.log_nu.detach().exp())}


class RegressionLoss(LossFunction):
    """Squared (or Huber's) difference from ratings, of which some are missing.

    Divided by the ratings that so many rows have on average, not by those of the batch: batches are
    then of equal weight however they are shared out over passes and processes.
    """

    def __init__(self, delta: float | None, targets: Targets) -> None:
        super().__init__()
        self.delta = delta
        self.share = float(np.isfinite(targets.columns["rating"]).mean())

    def forward(self, rewards: torch.Tensor, columns: Columns) -> torch.Tensor:
        ratings = columns["rating"].reshape(rewards.shape)
        there = torch.isfinite(ratings)
        wanted = torch.where(there, ratings, rewards.detach())
        each = (
            (rewards - wanted) ** 2
            if self.delta is None
            else 2 * huber_loss(rewards, wanted, reduction="none", delta=self.delta)
        )
        weights = columns["weight"][:, None] * there
        return (weights * each).mean() / self.share


class PlackettLuceLoss(LossFunction):
    """Minus the log-probability of the order of a list, the mean over lists. A choice of one
    response among those below it counts by that response's weight."""

    def __init__(self, top: int | None) -> None:
        super().__init__()
        self.top = top

    def forward(self, rewards: torch.Tensor, columns: Columns) -> torch.Tensor:
        rewards = rewards.squeeze(-1)
        member = columns["list"][:, None] == columns["list"][None, :]
        rank = columns["rank"]
        below = member & (rank[None, :] > rank[:, None])
        stages = below.any(dim=1)
        if self.top is not None:
            stages &= (member & (rank[None, :] < rank[:, None])).sum(dim=1) < self.top
        # each stage chooses one response among itself and those below it, not those equal to it
        rivals = below | torch.eye(len(rank), dtype=torch.bool, device=rank.device)
        scores = rewards[None, :].masked_fill(~rivals, -torch.inf)
        each = columns["weight"] * (scores.logsumexp(dim=1) - rewards)
        return each[stages].sum() / len(columns["list"].unique())


def sides(rewards: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rewards of chosen and of rejected responses, each of shape (pairs,)."""
    chosen, rejected = rewards.squeeze(-1).chunk(2)
    return chosen, rejected


def centred(chosen: torch.Tensor, rejected: torch.Tensor, times: float) -> torch.Tensor:
    """Return the term that keeps rewards near zero."""
    return times * ((chosen + rejected) ** 2).mean()
