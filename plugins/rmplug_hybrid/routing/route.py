"""Choice of the pairs that a human should label."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from rmplug import Features, Fit, Pairs, Sampler, Selection
from rmplug_hybrid.candidates.budgets import PositiveBudget

Strategy = Literal[
    "top-k", "exact", "greedy", "diverse", "simulated", "cost-aware", "positive-gain"
]


class Route(Sampler):
    """Choose which pairs a human should label, for several budgets and strategies at once.

    ``membership`` has the features of all pairs, ``model`` is a `performance-model` of candidates
    counted by the same features. A budget counts labels that are bought: every chosen pair is one,
    whether the human then agrees with the AI, or has no preference, which nobody knows before. With
    ``human`` and ``ai``, two sources of labels with the same ids, ``outcome`` is the effect of each
    label; an id that only one of them has is a tie in the other.

    Each row is one chosen pair of one route, best first: ``id``; ``gain``, the predicted result for
    one more label on it, around the average candidate; ``reason``; ``item``, the name of the route,
    so that a `for-each` over routes trains on each; ``strategy``; ``budget``, labels bought as a
    share of all pairs; ``size``, their number; ``outcome`` and ``cost`` where known; ``result``,
    the name of what is predicted. Beside the strategies there are always ``random`` routes at the
    same budgets, ``all human``, and ``all AI``, which is one row with an empty id.

    Strategies: ``top-k``, the highest gains; ``exact``, the optimum, which for a linear model is
    top-k (others are refused); ``greedy``, the highest gains given what was chosen before, for
    models with interactions; ``diverse``, gain and features that the chosen ones are short of;
    ``simulated``, the best of many random sets that favour some features; ``cost-aware``, the
    highest gain per cost, where a budget is a share of the money for all pairs, beside ``random by
    cost``; ``positive-gain``, as many of the best as raise the predicted result, without budget.

    ``value`` is the result that is predicted for the route. The model that chose a set thinks too
    well of it (``value.naive``): so half of the candidates choose, by the same rule, and the other
    half value what they chose; the mean over both ways and all halvings, and the middle 95 %
    (``value.low``, ``value.high``). `budget-curve` makes figures and numbers of all this.
    """

    kind = "route"
    requires = ("scipy", "lightgbm", "scikit-learn")
    extra = "tabular"

    budgets: tuple[PositiveBudget, ...] = Field(default=(0.25, 0.5, 0.75), min_length=1)
    """Numbers of labels: shares of all pairs (up to 1, which is all of them; rounded down), or
    whole numbers above 1."""
    strategies: tuple[Strategy, ...] = Field(default=("top-k",), min_length=1)
    """The rules by which pairs are chosen."""
    draws: int = Field(default=1, ge=1)
    """Random routes at each budget."""
    rounds: int = Field(default=100, ge=1)
    """``greedy`` and ``diverse`` look again at all pairs this often; one pair at a time if it is at
    least the budget."""
    simulations: int = Field(default=500, ge=1)
    """Random sets that ``simulated`` chooses from at each budget."""
    diversity: float = Field(default=1.0, ge=0)
    """Weight in ``diverse`` of features that are short, in standard deviations of the gain."""

    @field_validator("budgets", "strategies")
    @classmethod
    def _different(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) < len(values):
            raise ValueError("one of them is there twice")
        return values

    def sample(
        self,
        membership: Features,
        model: Fit,
        human: Pairs | None = None,
        ai: Pairs | None = None,
        costs: Features | None = None,
        *,
        seed: int,
    ) -> Selection:
        from ._route import RoutingSettings, make_routes

        settings = RoutingSettings(
            self.budgets,
            tuple(self.strategies),
            self.draws,
            self.rounds,
            self.simulations,
            self.diversity,
        )
        return make_routes(membership, model, human, ai, costs, settings, seed)
