"""The result of each route against the human labels it bought, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from rmplug import DataError, Metrics, Selection, notice, some

from ._performance_table import ITEMS, Wanted, item_column, one_model

AXIS = "share of human labels"
ENDS = ("all AI", "all human")
LEVEL = 0.05
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("metric", "subset")]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
    + [("n", pa.int64()), ("model", pa.string()), ("kind", pa.string()), ("at", pa.float64())]
    + [("axis", pa.string()), ("other", pa.string())]
    + [("p", pa.float64()), ("p_holm", pa.float64()), ("sentence", pa.string())]
)


@dataclass(frozen=True)
class Point:
    """A route: its share of human labels, and its result by seed."""

    name: str
    strategy: str
    at: float
    by_seed: Mapping[str, float]
    drawn: tuple[float, ...]
    """All results, where several draws stand for one route."""

    @property
    def observed(self) -> np.ndarray:
        """What the interval is over: seeds, or draws where there is one seed."""
        values = list(self.by_seed.values())
        return np.array(values if len(values) > 1 else self.drawn)


def curve(results: Metrics, routes: Selection, wanted: Wanted) -> Metrics:
    """Points of each strategy, and how far each route is from random routes of its size."""
    points = _points(results, routes, wanted)
    ends = [point for point in points if point.name in ENDS]
    strategies = list(dict.fromkeys(p.strategy for p in points if p.name not in ENDS))
    rows = [_row(point, point.strategy, wanted.metric) for point in ends]
    for strategy in strategies:
        own = [point for point in points if point.strategy == strategy]
        joined = sorted([*own, *ends], key=lambda point: point.at)
        rows += [_row(point, strategy, wanted.metric) for point in joined]
    rows += _differences(points, wanted.metric)
    single = [point.name for point in points if len(point.observed) < 2]
    notice("one result only: no interval; repeat the loop over seeds", single, "kept", "routes")
    return Metrics(pa.Table.from_pylist(rows, schema=SCHEMA))


def _points(results: Metrics, routes: Selection, wanted: Wanted) -> list[Point]:
    """The routes that have results; draws of one random route together."""
    lacking = [c for c in ("item", "strategy", "budget") if c not in routes.columns]
    if lacking:
        raise DataError(
            f"{routes.name or 'routes'} has no column {lacking[0]!r}; give what the step route gave"
        )
    told = routes.table.select(["item", "strategy", "budget"]).group_by(["item", "strategy"])
    known = {row["item"]: row for row in told.aggregate([("budget", "mean")]).to_pylist()}
    found = _results(results, wanted, list(known))
    missing = [name for name in known if name not in found]
    notice("routes without a result", missing, "dropped", "routes")
    draws: dict[tuple[str, str], list[str]] = {}
    for name, row in known.items():
        if name in found:
            draws.setdefault((_plain(name), row["strategy"]), []).append(name)
    return [_point(names, key, known, found) for key, names in draws.items()]


def _plain(name: str) -> str:
    """The name of a random route without the number of its draw."""
    head, mark, tail = name.rpartition(" (")
    return head if mark and tail.rstrip(")").isdigit() else name


def _point(
    names: Sequence[str],
    key: tuple[str, str],
    known: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, float]],
) -> Point:
    by_seed: dict[str, list[float]] = {}
    for name in names:
        for seed, value in found[name].items():
            by_seed.setdefault(seed, []).append(value)
    means = {seed: float(np.mean(values)) for seed, values in by_seed.items()}
    at = float(np.mean([known[name]["budget_mean"] for name in names]))
    return Point(key[0], key[1], at, means, tuple(v for vs in by_seed.values() for v in vs))


def _results(results: Metrics, wanted: Wanted, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """By route and seed: the other item column, or the one seed there is."""
    table = one_model(results, wanted)
    own = item_column(table, names, results.name)
    others = [column for column in ITEMS if column in table.column_names and column != own]
    seeds = table[others[0]].to_pylist() if others else ["only"] * table.num_rows
    found: dict[str, dict[str, float]] = {}
    for name, seed, value in zip(
        table[own].to_pylist(), seeds, table["value"].to_pylist(), strict=True
    ):
        if value is None or not np.isfinite(value):
            continue
        if seed in found.setdefault(name, {}):
            raise DataError(
                f"{results.name or 'results'} has more than one {wanted.metric} for {name!r} "
                f"({some([seed])}); choose one with subset or result_of"
            )
        found[name][seed] = float(value)
    return found


def t_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """95 % of the mean of independent values; none for fewer than two."""
    if len(values) < 2:
        return None, None
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _row(point: Point, strategy: str, metric: str) -> dict[str, Any]:
    low, high = t_interval(point.observed)
    return {
        "metric": metric,
        "subset": point.name,
        "value": float(point.observed.mean()),
        "low": low,
        "high": high,
        "n": len(point.observed),
        "model": strategy,
        "kind": "baseline" if strategy in (*ENDS, "random", "random by cost") else "model",
        "at": point.at,
        "axis": AXIS,
    }


def _differences(points: Sequence[Point], metric: str) -> list[dict[str, Any]]:
    rows = []
    for point in points:
        other = _random_beside(point, points)
        if other is not None:
            rows.append(_difference(point, other))
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    return [{**row, "sentence": _sentence(row, metric)} for row in rows]


def _random_beside(point: Point, points: Sequence[Point]) -> Point | None:
    """The random route that bought as many labels (or spent as much)."""
    if point.strategy in (*ENDS, "random", "random by cost"):
        return None
    if point.strategy == "cost-aware":
        wanted = point.name.replace("cost-aware", "random by cost")
        return next((p for p in points if p.name == wanted), None)
    alike = [p for p in points if p.strategy == "random" and np.isclose(p.at, point.at, atol=1e-9)]
    return alike[0] if alike else None


def _difference(point: Point, other: Point) -> dict[str, Any]:
    seeds = [seed for seed in point.by_seed if seed in other.by_seed]
    apart = np.array([point.by_seed[seed] - other.by_seed[seed] for seed in seeds])
    low, high = t_interval(apart)
    return {
        "metric": "difference",
        "subset": point.name,
        "value": float(apart.mean()) if len(apart) else None,
        "low": low,
        "high": high,
        "n": len(apart),
        "model": point.strategy,
        "kind": "model",
        "other": other.strategy,
        "p": _p(apart),
    }


def _p(apart: np.ndarray) -> float | None:
    """Of a two-sided t-test that the mean is 0."""
    if len(apart) < 2:
        return None
    mean, error = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
    if error <= 1e-12 * abs(mean):
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, len(apart) - 1))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, by Holm's step-down rule."""
    order = np.argsort(values, kind="stable")
    scaled = np.array(values)[order] * np.arange(len(values), 0, -1)
    found = np.empty(len(values))
    found[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in found]


def _sentence(row: Mapping[str, Any], metric: str) -> str:
    if row["value"] is None:
        return f"{row['subset']} and {row['other']} have no seed in common."
    told = f"{row['value']:+.4f} {metric}"
    if row["low"] is None:
        return f"{row['subset']}: {told} against {row['other']}, one seed only: no interval."
    verdict = "is not told apart from"
    if row["p_holm"] < LEVEL:
        verdict = "beats" if row["value"] > 0 else "loses to"
    span = f"95 % {row['low']:+.4f} to {row['high']:+.4f}, {row['n']} seeds"
    span += f"; corrected p = {row['p_holm']:.3f}"
    return f"{row['subset']} {verdict} {row['other']} of the same budget: {told} ({span})."
