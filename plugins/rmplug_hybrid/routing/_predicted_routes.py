"""The labels that each route buys, and their predicted value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from rmplug import DataError, Selection

AXIS = "share of human labels"
ALL_AI, ALL_HUMAN = "all AI", "all human"
ENDS = (ALL_AI, ALL_HUMAN)
RANDOM, RANDOM_BY_COST = "random", "random by cost"
BASELINES = (*ENDS, RANDOM, RANDOM_BY_COST)
CHANGES = "changes the label"
OUTCOMES = {
    "agrees with the AI label": "agrees with the AI",
    CHANGES: CHANGES,
    "the human has no preference: drops out": "human tie: drops out",
    "only the human has a preference: comes in": "AI tie: comes in",
    "no preference in either": "tie of both",
}
"""The outcomes of a label, each with a short description."""
VALUES = ("value", "value.low", "value.high", "value.naive")
NAMES = ("item", "strategy", "result")
NUMBERS = ("budget", "size", *VALUES)


@dataclass(frozen=True)
class CurvePoint:
    """A route as a point on the curve of its strategy."""

    name: str
    strategy: str
    at: float
    """Human labels as a share of all pairs."""


AnyPoint = TypeVar("AnyPoint", bound=CurvePoint)


@dataclass(frozen=True)
class PredictedRoute(CurvePoint):
    """A route with the number of its labels and their predicted value: by models that did not
    choose them, with the middle 95 %, and by the one that did."""

    size: float
    value: float
    low: float
    high: float
    naive: float
    cost: float | None
    outcomes: Mapping[str, float]
    """Number of labels by outcome."""
    result: str
    """The predicted result."""


def read_routes(routes: Selection) -> dict[str, PredictedRoute]:
    """Read the routes in a selection by name, in its order."""
    lacking = [name for name in (*NAMES, *NUMBERS) if name not in routes.columns]
    if lacking:
        raise DataError(
            f"{routes.name or 'routes'} has no column {lacking[0]!r}; give what the step route gave"
        )
    # all rows of a route have the same numbers, which a mean would round
    wanted = dict.fromkeys(NUMBERS, "min")
    if "cost" in routes.columns:
        wanted["cost"] = "sum"
    rows = _aggregate(routes.table, list(NAMES), wanted)
    outcomes: dict[str, dict[str, float]] = {}
    if "outcome" in routes.columns:
        for row in _aggregate(routes.table, ["item", "outcome"], {"id": "count"}):
            outcomes.setdefault(row["item"], {})[row["outcome"]] = float(row["id_count"])
    return {row["item"]: _make_route(row, outcomes.get(row["item"], {})) for row in rows}


def _aggregate(table: pa.Table, keys: list[str], wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    # with threads the order of groups would not be that of the rows
    groups = table.select([*keys, *wanted]).group_by(keys, use_threads=False)
    rows: list[dict[str, Any]] = groups.aggregate(list(wanted.items())).to_pylist()
    return rows


def _make_route(row: Mapping[str, Any], outcomes: Mapping[str, float]) -> PredictedRoute:
    at, size, value, low, high, naive = (row[f"{name}_min"] for name in NUMBERS)
    counts = {name: count for name, count in outcomes.items() if name in OUTCOMES}
    cost = row.get("cost_sum")
    numbers = (at, size, value, low, high, naive, cost)
    return PredictedRoute(row["item"], row["strategy"], *numbers, counts, row["result"])


def strip_draw(name: str) -> str:
    """Strip the number of its draw off the name of a random route."""
    head, mark, tail = name.rpartition(" (")
    return head if mark and tail.rstrip(")").isdigit() else name


def group_draws(routes: Mapping[str, PredictedRoute]) -> dict[str, list[PredictedRoute]]:
    """Group the routes by name, several draws of a random one together."""
    draws_of: dict[str, list[PredictedRoute]] = {}
    for name, route in routes.items():
        draws_of.setdefault(strip_draw(name), []).append(route)
    return draws_of


def _average_draws(name: str, draws: Sequence[PredictedRoute]) -> PredictedRoute:
    """Average the draws of one random route."""
    first = draws[0]

    def mean(field: str) -> float:
        return float(np.mean([getattr(draw, field) for draw in draws]))

    outcomes = {
        name: float(np.mean([draw.outcomes.get(name, 0.0) for draw in draws]))
        for name in OUTCOMES
        if any(name in draw.outcomes for draw in draws)
    }
    cost = None if first.cost is None else mean("cost")
    numbers: dict[str, Any] = {
        field: mean(field) for field in ("at", "size", "value", "low", "high", "naive")
    }
    return replace(first, name=name, cost=cost, outcomes=outcomes, **numbers)


def trace_curves(points: Sequence[AnyPoint]) -> Iterator[tuple[str, AnyPoint]]:
    """Trace the points of each strategy, from no human label over its routes to all of them."""
    ends = [point for point in points if point.name in ENDS]
    for strategy in dict.fromkeys(point.strategy for point in points if point.name not in ENDS):
        own = [point for point in points if point.strategy == strategy]
        for point in sorted([*own, *ends], key=lambda point: point.at):
            yield strategy, point


def find_random_beside(route: CurvePoint, routes: Sequence[AnyPoint]) -> AnyPoint | None:
    """Find the random route that bought as many labels (or spent as much)."""
    if route.strategy in BASELINES:
        return None
    if route.strategy == "cost-aware":
        wanted = route.name.replace("cost-aware", RANDOM_BY_COST)
        return next((other for other in routes if other.name == wanted), None)
    alike = (
        other
        for other in routes
        if other.strategy == RANDOM and np.isclose(other.at, route.at, atol=1e-9)
    )
    return next(alike, None)


def make_point(strategy: str, at: float) -> dict[str, Any]:
    """Make the columns by which a row of metrics is a point of a strategy's curve."""
    kind = "baseline" if strategy in BASELINES else "model"
    return {"model": strategy, "kind": kind, "at": at, "axis": AXIS}


def make_rows(routes: Mapping[str, PredictedRoute]) -> list[dict[str, Any]]:
    """Make rows of metrics: the predicted result of each route, its labels, and their outcomes."""
    averaged = [_average_draws(name, draws) for name, draws in group_draws(routes).items()]
    rows = [
        _make_prediction_row(strategy, route, averaged)
        for strategy, route in trace_curves(averaged)
    ]
    bought = sorted((route for route in averaged if route.size), key=lambda r: r.name in ENDS)
    rows += [_make_number_row("bought", route.size, route) for route in bought]
    rows += [
        _make_number_row("cost", route.cost, route) for route in bought if route.cost is not None
    ]
    return rows + _make_outcome_rows(bought)


def _make_prediction_row(
    strategy: str, route: PredictedRoute, routes: Sequence[PredictedRoute]
) -> dict[str, Any]:
    return {
        "metric": f"predicted-{route.result.replace(' ', '-')}",
        "subset": route.name,
        "value": route.value,
        "low": route.low,
        "high": route.high,
        "n": round(route.size),
        **make_point(strategy, route.at),
        "sentence": _write_worth(route, find_random_beside(route, routes)),
    }


def _write_worth(route: PredictedRoute, random: PredictedRoute | None) -> str | None:
    """Write the sentence for the prediction of a route that a model chose."""
    if route.strategy in BASELINES:
        return None
    value, low, high, naive = (
        f"{number:#.4g}" for number in (route.value, route.low, route.high, route.naive)
    )
    sentence = (
        f"{route.name} is predicted to reach {value} ({low} to {high} over halves of the "
        f"candidates) in {route.result}, by models that did not choose it"
    )
    if random is not None:
        alike = "for the same money" if random.strategy == RANDOM_BY_COST else "of that number"
        sentence += f"; random labels {alike} reach {random.value:#.4g}"
    return f"{sentence}. The model that chose it says {naive}."


def _make_number_row(metric: str, value: float, route: PredictedRoute) -> dict[str, Any]:
    pairs = round(route.size / route.at)
    return {"metric": metric, "subset": route.name, "value": value, "n": pairs}


def _make_outcome_rows(routes: Sequence[PredictedRoute]) -> list[dict[str, Any]]:
    """Make a matrix: the share of each outcome among the labels of each route."""
    met = [name for name in OUTCOMES if any(name in route.outcomes for route in routes)]
    whole = next((route for route in routes if route.name == ALL_HUMAN), None)
    return [
        {
            "metric": "share-of-labels",
            "subset": "all",
            "value": route.outcomes.get(name, 0.0) / route.size,
            "n": round(route.size),
            "row": route.name,
            "column": OUTCOMES[name],
            "sentence": _write_changes(route, whole) if name == CHANGES else None,
        }
        for route in routes
        for name in met
    ]


def _write_changes(route: PredictedRoute, whole: PredictedRoute | None) -> str | None:
    """Write how many labels change the AI's, beside those of all pairs."""
    if route.strategy in BASELINES or whole is None:
        return None
    changed, of_all = (one.outcomes.get(CHANGES, 0.0) for one in (route, whole))
    return (
        f"Of the {route.size:,.0f} labels that {route.name} buys, {changed:,.0f} "
        f"({100 * changed / route.size:.1f} %) change the AI's; of all pairs, "
        f"{100 * of_all / whole.size:.1f} % would."
    )
