"""What each route buys, and what that is predicted to be worth."""

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
"""What a label turns out to do, and the same in a few words."""
VALUES = ("value", "value.low", "value.high", "value.naive")
NAMES = ("item", "strategy", "result")
NUMBERS = ("budget", "size", *VALUES)


@dataclass(frozen=True)
class Place:
    """A route, and where it stands on the curve of its strategy."""

    name: str
    strategy: str
    at: float
    """Human labels as a share of all pairs."""


AnyPlace = TypeVar("AnyPlace", bound=Place)


@dataclass(frozen=True)
class Bought(Place):
    """A route with the number of its labels, and their predicted worth: by models that did not
    choose them, with the middle 95 %, and by the one that did."""

    size: float
    value: float
    low: float
    high: float
    naive: float
    cost: float | None
    outcomes: Mapping[str, float]
    """How many labels turned out to do what."""
    result: str
    """What is predicted of it."""


def read_routes(routes: Selection) -> dict[str, Bought]:
    """The routes in a selection by name, in its order."""
    lacking = [name for name in (*NAMES, *NUMBERS) if name not in routes.columns]
    if lacking:
        raise DataError(
            f"{routes.name or 'routes'} has no column {lacking[0]!r}; give what the step route gave"
        )
    # all rows of a route have the same numbers, which a mean would round
    wanted = dict.fromkeys(NUMBERS, "min")
    if "cost" in routes.columns:
        wanted["cost"] = "sum"
    rows = _by(routes.table, list(NAMES), wanted)
    outcomes: dict[str, dict[str, float]] = {}
    if "outcome" in routes.columns:
        for row in _by(routes.table, ["item", "outcome"], {"id": "count"}):
            outcomes.setdefault(row["item"], {})[row["outcome"]] = float(row["id_count"])
    return {row["item"]: _bought(row, outcomes.get(row["item"], {})) for row in rows}


def _by(table: pa.Table, keys: list[str], wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    # with threads the order of groups would not be that of the rows
    groups = table.select([*keys, *wanted]).group_by(keys, use_threads=False)
    found: list[dict[str, Any]] = groups.aggregate(list(wanted.items())).to_pylist()
    return found


def _bought(row: Mapping[str, Any], outcomes: Mapping[str, float]) -> Bought:
    at, size, value, low, high, naive = (row[f"{name}_min"] for name in NUMBERS)
    known = {name: count for name, count in outcomes.items() if name in OUTCOMES}
    cost = row.get("cost_sum")
    numbers = (at, size, value, low, high, naive, cost)
    return Bought(row["item"], row["strategy"], *numbers, known, row["result"])


def without_draw(name: str) -> str:
    """The name of a random route without the number of its draw."""
    head, mark, tail = name.rpartition(" (")
    return head if mark and tail.rstrip(")").isdigit() else name


def drawn_together(routes: Mapping[str, Bought]) -> dict[str, list[Bought]]:
    """The routes by name, several draws of a random one under each other."""
    found: dict[str, list[Bought]] = {}
    for name, route in routes.items():
        found.setdefault(without_draw(name), []).append(route)
    return found


def _averaged(name: str, draws: Sequence[Bought]) -> Bought:
    """Draws of one random route as one."""
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


def curves(places: Sequence[AnyPlace]) -> Iterator[tuple[str, AnyPlace]]:
    """For each strategy its points, from no human label over its routes to all of them."""
    ends = [place for place in places if place.name in ENDS]
    for strategy in dict.fromkeys(p.strategy for p in places if p.name not in ENDS):
        own = [place for place in places if place.strategy == strategy]
        for place in sorted([*own, *ends], key=lambda place: place.at):
            yield strategy, place


def random_beside(route: Place, routes: Sequence[AnyPlace]) -> AnyPlace | None:
    """The random route that bought as many labels (or spent as much)."""
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


def point(strategy: str, at: float) -> dict[str, Any]:
    """What makes a row of metrics a point of a strategy's curve."""
    kind = "baseline" if strategy in BASELINES else "model"
    return {"model": strategy, "kind": kind, "at": at, "axis": AXIS}


def told(routes: Mapping[str, Bought]) -> list[dict[str, Any]]:
    """Rows of metrics: what each route is predicted to reach, its labels, and what they do."""
    found = [_averaged(name, draws) for name, draws in drawn_together(routes).items()]
    rows = [_predicted(strategy, route, found) for strategy, route in curves(found)]
    bought = sorted((route for route in found if route.size), key=lambda r: r.name in ENDS)
    rows += [_number("bought", route.size, route) for route in bought]
    rows += [_number("cost", route.cost, route) for route in bought if route.cost is not None]
    return rows + _outcomes(bought)


def _predicted(strategy: str, route: Bought, routes: Sequence[Bought]) -> dict[str, Any]:
    return {
        "metric": f"predicted-{route.result.replace(' ', '-')}",
        "subset": route.name,
        "value": route.value,
        "low": route.low,
        "high": route.high,
        "n": round(route.size),
        **point(strategy, route.at),
        "sentence": _worth(route, random_beside(route, routes)),
    }


def _worth(route: Bought, random: Bought | None) -> str | None:
    """What must be told with the prediction of a route that a model chose."""
    if route.strategy in BASELINES:
        return None
    value, low, high, naive = (
        f"{number:#.4g}" for number in (route.value, route.low, route.high, route.naive)
    )
    found = (
        f"{route.name} is predicted to reach {value} ({low} to {high} over halves of the "
        f"candidates) in {route.result}, by models that did not choose it"
    )
    if random is not None:
        alike = "for the same money" if random.strategy == RANDOM_BY_COST else "of that number"
        found += f"; random labels {alike} reach {random.value:#.4g}"
    return f"{found}. The model that chose it says {naive}."


def _number(metric: str, value: float, route: Bought) -> dict[str, Any]:
    pairs = round(route.size / route.at)
    return {"metric": metric, "subset": route.name, "value": value, "n": pairs}


def _outcomes(routes: Sequence[Bought]) -> list[dict[str, Any]]:
    """A matrix: of the labels of each route, the share that turned out to do what."""
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
            "sentence": _changed(route, whole) if name == CHANGES else None,
        }
        for route in routes
        for name in met
    ]


def _changed(route: Bought, whole: Bought | None) -> str | None:
    """How many labels were worth their money, in the narrow sense, beside those of all pairs."""
    if route.strategy in BASELINES or whole is None:
        return None
    changed, of_all = (one.outcomes.get(CHANGES, 0.0) for one in (route, whole))
    return (
        f"Of the {route.size:,.0f} labels that {route.name} buys, {changed:,.0f} "
        f"({100 * changed / route.size:.1f} %) change the AI's; of all pairs, "
        f"{100 * of_all / whole.size:.1f} % would."
    )
