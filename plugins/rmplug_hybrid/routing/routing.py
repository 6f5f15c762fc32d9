"""The sampler that sends pairs to a human, and the evaluator that shows what that bought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from rmplug import Evaluator, Features, Fit, Known, Metrics, Pairs, Sampler, Selection

Strategy = Literal[
    "top-k", "exact", "greedy", "diverse", "simulated", "cost-aware", "positive-gain"
]
Budget = Annotated[float, Field(gt=0)]


class Route(Sampler):
    """Chooses which pairs a human should label, for several budgets and strategies at once.

    ``membership`` has the features of all pairs, ``model`` is a `performance-model` of candidates
    counted by the same features. A budget counts labels that are bought: every chosen pair is one,
    whether the human then agrees with the AI, or has no preference, which nobody knows before. With
    ``human`` and ``ai``, two sources of labels with the same ids, ``outcome`` tells what each label
    turned out to do; an id that only one of them has is a tie in the other.

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

    budgets: tuple[Budget, ...] = Field(default=(0.25, 0.5, 0.75), min_length=1)
    """How many labels: shares of all pairs (up to 1, which is all of them; rounded down), or whole
    numbers above 1."""
    strategies: tuple[Strategy, ...] = Field(default=("top-k",), min_length=1)
    """How pairs are chosen."""
    draws: int = Field(default=1, ge=1)
    """Random routes at each budget."""
    rounds: int = Field(default=100, ge=1)
    """``greedy`` and ``diverse`` look again at all pairs this often; one pair at a time if it is at
    least the budget."""
    simulations: int = Field(default=500, ge=1)
    """Random sets that ``simulated`` chooses from at each budget."""
    diversity: float = Field(default=1.0, ge=0)
    """What ``diverse`` gives for features that are short, in standard deviations of the gain."""

    @field_validator("budgets", "strategies")
    @classmethod
    def _different(cls, given: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(given)) < len(given):
            raise ValueError("one of them is there twice")
        return given

    @field_validator("budgets")
    @classmethod
    def _shares_or_numbers(cls, budgets: tuple[float, ...]) -> tuple[float, ...]:
        for budget in budgets:
            if budget > 1 and budget != int(budget):
                raise ValueError(
                    f"a budget is a share up to 1 or a whole number of labels, not {budget:g}"
                )
        return budgets

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
        from ._route import Settings, route

        settings = Settings(
            self.budgets,
            tuple(self.strategies),
            self.draws,
            self.rounds,
            self.simulations,
            self.diversity,
        )
        return route(membership, model, human, ai, costs, settings, seed)


class BudgetCurve(Evaluator):
    """How good the reward model becomes for the human labels that were bought.

    For each of ``routes``, without anything else: ``predicted-<result>``, what the performance
    model predicts, by models that did not choose the route, with the middle 95 % over halves of the
    candidates (``n``: its labels), and a sentence that compares it with random labels and with what
    the model says that chose it; ``bought``, its labels of ``n`` pairs, and ``cost``, what they
    cost together, where that is known; ``share-of-labels``, where `route` knew both sources of
    labels: a matrix of the share of a route's labels (``row``; ``n`` labels) that turned out to do
    what (``column``).

    With ``results``, metrics collected by a `for-each` over ``routes`` (the steps inside swap the
    labels, train, and evaluate), in an outer `for-each` over seeds or with one inside, also what
    was measured: rows of ``metric``, the mean over seeds with a 95 % t interval (none with one
    seed), ``n`` seeds. With one seed, several random draws are what the interval is over. Intervals
    tell how far the same routes, trained again, may come out elsewhere; not what other test pairs
    or other candidates would give. ``difference`` rows compare each route with ``other``, random
    routes of the same size, paired by seed: a t interval over seeds, ``p`` (t-test) and ``p_holm``
    (Holm's correction for all of them), and a sentence.

    Points of curves have ``at``, the share of human labels that was bought, and ``model``, the
    strategy; ``all AI`` and ``all human`` are the ends of every curve. Several random draws are
    averaged, measured ones within a seed. ``subset`` names the route. Columns: ``metric, subset,
    value, low, high, n, model, kind, at, axis, row, column, other, p, p_holm, sentence``.
    """

    kind = "budget-curve"
    requires = ("scipy",)
    extra = "tabular"

    metric: str = "accuracy"
    """The metric of ``results`` that is shown."""
    subset: str = "all"
    """Its subset."""
    result_of: str | None = None
    """The model that was measured, where results have several."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        table = ("metric", "subset", "value", "low", "high", "n", "model", "kind")
        curve = ("at", "axis", "row", "column", "other", "p", "p_holm", "sentence")
        return Known(columns=(*table, *curve))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs.get("results", ()):
            lacking = one.lacks_metric(self.metric)
            yield from [("metric", lacking)] if lacking else []

    def evaluate(self, routes: Selection, results: Metrics | None = None) -> Metrics:
        from rmplug_hybrid.performance._candidate_table import Wanted

        from ._budget_curve import curve

        wanted = Wanted(self.metric, self.subset, self.result_of, None, ())
        return curve(routes, results, wanted)
