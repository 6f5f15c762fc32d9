"""Routes: for each strategy and budget the pairs that a human should label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Fit, Pairs, Selection, notice
from rmplug_hybrid.candidates._designs import count_labels
from rmplug_hybrid.performance._ensemble import FormEnsemble

from ._pool import Pool, compute_gains, find_main_features, find_outcomes, read_pool
from ._predicted_routes import ALL_AI, ALL_HUMAN, RANDOM, RANDOM_BY_COST
from ._predicted_values import RouteValue, value_chosen_sets, value_fixed_set
from ._strategies import Chooser, take_affordable

NO_PAIR = ""
"""The id in the one row that stands for the route without any human label."""
WHY = {
    "top-k": "highest gain",
    "exact": "highest gain, which for a linear model is the exact optimum",
    "greedy": "highest gain given those chosen before",
    "diverse": "high gain, and features that the others lack",
    "simulated": "in the best of the simulated sets",
    "cost-aware": "highest gain per cost",
    "positive-gain": "raises the predicted result",
    RANDOM: "at random",
    RANDOM_BY_COST: "at random, for the same money",
    ALL_HUMAN: "every pair",
    ALL_AI: "no pair: every label is the AI's",
}
BY_GAIN = ("top-k", "exact", "greedy", "diverse", "cost-aware", "positive-gain")


@dataclass(frozen=True)
class RoutingSettings:
    """The parameters of routing."""

    budgets: tuple[float, ...]
    strategies: tuple[str, ...]
    draws: int
    rounds: int
    simulations: int
    diversity: float


@dataclass(frozen=True)
class ChosenSet:
    """One item: the chosen pairs, their strategy, and the predicted value."""

    item: str
    strategy: str
    chosen: np.ndarray
    value: RouteValue


def make_routes(
    membership: Features,
    model: Fit,
    human: Pairs | None,
    ai: Pairs | None,
    costs: Features | None,
    settings: RoutingSettings,
    seed: int,
) -> Selection:
    """Make all routes, those of a strategy by budget, random ones after them."""
    ensemble = _open_ensemble(model)
    pool = read_pool(membership, ensemble.names, human, costs)
    sizes = tuple(count_bought(budget, len(pool)) for budget in settings.budgets)
    chooser = _make_chooser(ensemble, pool, sizes, settings, seed)
    routes = [
        chosen_set
        for strategy in settings.strategies
        for chosen_set in _choose_by_strategy(chooser, strategy, settings)
    ]
    routes += _make_baselines(chooser, settings, routes)
    _report_doubt(model)
    return Selection(_make_table(routes, ensemble, pool, find_outcomes(pool.ids, human, ai)))


def _open_ensemble(model: Fit) -> FormEnsemble:
    opened = model.open()
    if not isinstance(opened, FormEnsemble):
        raise DataError(f"{model.name or 'model'} is no performance model; give that step's fit")
    return opened


def count_bought(budget: float, pairs: int) -> int:
    """Convert a budget to a number of labels; raises DataError for less than one."""
    size = count_labels(budget, pairs)
    if size < 1:
        raise DataError(f"a budget of {budget:g} buys no label of {pairs} pairs; give more")
    return size


def _make_chooser(
    ensemble: FormEnsemble, pool: Pool, sizes: tuple[int, ...], settings: RoutingSettings, seed: int
) -> Chooser:
    per_label = 0.0 if pool.costs is None else float(pool.costs.mean())
    return Chooser(
        ensemble,
        pool,
        sizes,
        tuple(
            budget * (len(pool) if budget <= 1 else 1) * per_label for budget in settings.budgets
        ),
        settings.rounds,
        settings.simulations,
        settings.diversity,
        seed,
    )


def _choose_by_strategy(
    chooser: Chooser, strategy: str, settings: RoutingSettings
) -> list[ChosenSet]:
    sets = chooser.choose(strategy, chooser.ensemble.whole)
    values = value_chosen_sets(chooser, strategy, sets)
    if strategy == "positive-gain":
        return [ChosenSet(strategy, strategy, sets[0], values[0])]
    names = [f"{strategy} at {write_budget(budget)}" for budget in settings.budgets]
    return [
        ChosenSet(name, strategy, chosen, value)
        for name, chosen, value in zip(names, sets, values, strict=True)
    ]


def write_budget(budget: float) -> str:
    return f"{100 * budget:g} %" if budget <= 1 else f"{budget:g} labels"


def _make_baselines(
    chooser: Chooser, settings: RoutingSettings, routes: Sequence[ChosenSet]
) -> list[ChosenSet]:
    """Make random routes at every budget that is used, and the routes of all and of no pairs."""
    pool = chooser.pool
    made = [(ALL_HUMAN, np.arange(len(pool))), (ALL_AI, np.empty(0, dtype=np.int64))]
    for draw in range(settings.draws):
        order = np.random.default_rng([chooser.seed, draw, 3]).permutation(len(pool))
        mark = "" if draw == 0 else f" ({draw + 1})"
        for budget, size in zip(settings.budgets, chooser.sizes, strict=True):
            made.append((f"{RANDOM} at {write_budget(budget)}{mark}", order[:size]))
        for route in routes:
            if route.strategy == "positive-gain" and 0 < len(route.chosen) < len(pool):
                name = f"{RANDOM} at {len(route.chosen)} labels{mark}"
                made.append((name, order[: len(route.chosen)]))
        if pool.costs is not None:
            for budget, money in zip(settings.budgets, chooser.money, strict=True):
                part = take_affordable(order, pool.costs, money)
                made.append((f"{RANDOM_BY_COST} at {write_budget(budget)}{mark}", part))
    return [
        ChosenSet(
            name, name.partition(" at ")[0], part, value_fixed_set(chooser.ensemble, pool, part)
        )
        for name, part in made
    ]


def _report_doubt(model: Fit) -> None:
    """Notice a model whose features do not lower its error: its routes may be no better than
    random ones."""
    for number in model.numbers:
        if (number["metric"], number["subset"]) == ("difference", "rmse") and not _helps(number):
            # a notice goes on after its text: "…, kept (performance)"
            doubt = str(number["sentence"]).removesuffix(".")
            notice(doubt, [model.name or "model"], "kept", "models")


def _helps(difference: Mapping[str, Any]) -> bool:
    """Check whether the features lower the error of the performance model."""
    return difference["high"] is not None and difference["high"] < 0


def _make_table(
    routes: Sequence[ChosenSet], ensemble: FormEnsemble, pool: Pool, outcomes: pa.Array | None
) -> pa.Table:
    gain, main = compute_gains(ensemble, ensemble.whole, pool), find_main_features(ensemble, pool)
    parts = [
        _make_rows(
            route, ensemble.result, gain, _write_reasons(route, ensemble, main), pool, outcomes
        )
        for route in routes
    ]
    return pa.concat_tables(parts)


def _write_reasons(route: ChosenSet, ensemble: FormEnsemble, main: np.ndarray) -> pa.Array:
    """Write why each pair was chosen: by its gain, then with the feature that adds most to it."""
    why = WHY[route.strategy]
    if route.strategy not in BY_GAIN or not len(route.chosen):
        return pa.repeat(why, max(len(route.chosen), 1))
    # the last one stands for -1: no feature adds anything
    texts = [f"{why}; most for {name}" for name in ensemble.names] + [why]
    return pa.array(texts).take(pa.array(main[route.chosen] % len(texts)))


def _make_rows(
    route: ChosenSet,
    result: str,
    gain: np.ndarray,
    reasons: pa.Array,
    pool: Pool,
    outcomes: pa.Array | None,
) -> pa.Table:
    """Make the rows of one route; one row without an id for the route that buys nothing."""
    chosen = route.chosen
    empty = not len(chosen)
    rows = max(len(chosen), 1)
    columns: dict[str, Any] = {
        "id": pa.array([NO_PAIR]) if empty else pool.ids.take(pa.array(chosen)),
        "gain": np.zeros(1) if empty else gain[chosen],
        "reason": reasons,
        "item": pa.repeat(route.item, rows),
        "strategy": pa.repeat(route.strategy, rows),
        "result": pa.repeat(result, rows),
        "budget": np.full(rows, len(chosen) / len(pool)),
        "size": np.full(rows, float(len(chosen))),
        "value": np.full(rows, route.value.value),
        "value.low": np.full(rows, route.value.low),
        "value.high": np.full(rows, route.value.high),
        "value.naive": np.full(rows, route.value.naive),
    }
    if outcomes is not None:
        columns["outcome"] = pa.array(["none"]) if empty else outcomes.take(pa.array(chosen))
    if pool.costs is not None:
        columns["cost"] = np.zeros(1) if empty else pool.costs[chosen]
    return pa.table(columns)
