"""The result of each route against the human labels it bought, over seeds, and its prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from rmplug import DataError, Metrics, Selection, notice
from rmplug.errors import some
from rmplug.stats.intervals import NO_BOUND, Bounds, t_interval
from rmplug.stats.several_tests import adjust_holm
from rmplug_hybrid.performance._candidate_table import (
    ITEMS,
    WantedResult,
    find_item_column,
    select_model,
)

from ._predicted_routes import (
    CurvePoint,
    PredictedRoute,
    find_random_beside,
    group_draws,
    make_point,
    make_rows,
    read_routes,
    trace_curves,
)

LEVEL = 0.05
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("metric", "subset")]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
    + [("n", pa.int64()), ("model", pa.string()), ("kind", pa.string()), ("at", pa.float64())]
    + [(name, pa.string()) for name in ("axis", "row", "column", "other")]
    + [("p", pa.float64()), ("p_holm", pa.float64()), ("sentence", pa.string())]
)


@dataclass(frozen=True)
class MeasuredRoute(CurvePoint):
    """A route that has results, by seed."""

    by_seed: Mapping[str, float]
    drawn: tuple[float, ...]
    """All results, where several draws stand for one route."""

    @property
    def observed(self) -> np.ndarray:
        """The values of the interval: of seeds, or of draws where there is one seed."""
        values = list(self.by_seed.values())
        return np.array(values if len(values) > 1 else self.drawn)


def make_budget_curve(routes: Selection, results: Metrics | None, wanted: WantedResult) -> Metrics:
    """Make the rows of the measured results, where there are any, and of the predicted ones."""
    predicted = read_routes(routes)
    if not predicted:
        raise DataError(f"{routes.name or 'routes'} has no rows: there is no route to tell of")
    rows = [] if results is None else _make_measured_rows(predicted, results, wanted)
    return Metrics(pa.Table.from_pylist([*rows, *make_rows(predicted)], schema=SCHEMA))


def _make_measured_rows(
    predicted: Mapping[str, PredictedRoute], results: Metrics, wanted: WantedResult
) -> list[dict[str, Any]]:
    """Make the points of each strategy, and the difference of each route from random ones of its
    size."""
    points = _match_results(predicted, results, wanted)
    single = [point.name for point in points if len(point.observed) < 2]
    notice("one result only: no interval; repeat the loop over seeds", single, "kept", "routes")
    rows = [make_row(point, strategy, wanted.metric) for strategy, point in trace_curves(points)]
    return rows + make_difference_rows(points, wanted.metric)


def _match_results(
    predicted: Mapping[str, PredictedRoute], results: Metrics, wanted: WantedResult
) -> list[MeasuredRoute]:
    """Match routes with their results; draws of one random route together."""
    values = _read_results(results, wanted, list(predicted))
    missing = [name for name in predicted if name not in values]
    notice("routes without a result", missing, "dropped", "routes")
    measured = {name: route for name, route in predicted.items() if name in values}
    return [
        _make_measured_route(name, draws, [values[draw.name] for draw in draws])
        for name, draws in group_draws(measured).items()
    ]


def _make_measured_route(
    name: str, draws: Sequence[PredictedRoute], results: Sequence[Mapping[str, float]]
) -> MeasuredRoute:
    by_seed: dict[str, list[float]] = {}
    for values_of in results:
        for seed, value in values_of.items():
            by_seed.setdefault(seed, []).append(value)
    means = {seed: float(np.mean(repeated)) for seed, repeated in by_seed.items()}
    at = float(np.mean([draw.at for draw in draws]))
    every = tuple(value for repeated in by_seed.values() for value in repeated)
    return MeasuredRoute(name, draws[0].strategy, at, means, every)


def _read_results(
    results: Metrics, wanted: WantedResult, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Read results by route and seed: the other item column, or the one seed there is."""
    table = select_model(results, wanted)
    own = find_item_column(table, names, results.name)
    others = [column for column in ITEMS if column in table.column_names and column != own]
    seeds = table[others[0]].to_pylist() if others else ["only"] * table.num_rows
    values: dict[str, dict[str, float]] = {}
    for name, seed, value in zip(
        table[own].to_pylist(), seeds, table["value"].to_pylist(), strict=True
    ):
        if value is None or not np.isfinite(value):
            continue
        if seed in values.setdefault(name, {}):
            raise DataError(
                f"{results.name or 'results'} has more than one {wanted.metric} for {name!r} "
                f"({some([seed])}); choose one with subset or result_of"
            )
        values[name][seed] = float(value)
    return values


def _mean_interval(values: np.ndarray) -> Bounds:
    """Compute Student's 95 % interval of the mean of independent values; None for fewer than
    two."""
    number = len(values)
    if number < 2:
        return NO_BOUND
    variance = float(values.var(ddof=1)) / number
    return t_interval(float(values.mean()), variance, number - 1, "plain")


def make_row(one: MeasuredRoute, strategy: str, metric: str) -> dict[str, Any]:
    low, high = _mean_interval(one.observed)
    return {
        "metric": metric,
        "subset": one.name,
        "value": float(one.observed.mean()),
        "low": low,
        "high": high,
        "n": len(one.observed),
        **make_point(strategy, one.at),
    }


def make_difference_rows(points: Sequence[MeasuredRoute], metric: str) -> list[dict[str, Any]]:
    rows = []
    for one in points:
        other = find_random_beside(one, points)
        if other is not None:
            rows.append(_make_difference_row(one, other))
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, adjust_holm([row["p"] for row in tested]).tolist(), strict=True):
        row["p_holm"] = p
    return [{**row, "sentence": _write_sentence(row, metric)} for row in rows]


def _make_difference_row(one: MeasuredRoute, other: MeasuredRoute) -> dict[str, Any]:
    seeds = [seed for seed in one.by_seed if seed in other.by_seed]
    differences = np.array([one.by_seed[seed] - other.by_seed[seed] for seed in seeds])
    low, high = _mean_interval(differences)
    return {
        "metric": "difference",
        "subset": one.name,
        "value": float(differences.mean()) if len(differences) else None,
        "low": low,
        "high": high,
        "n": len(differences),
        "model": one.strategy,
        "kind": "model",
        "other": other.strategy,
        "p": _test_difference(differences),
    }


def _test_difference(differences: np.ndarray) -> float | None:
    """Test whether the mean is 0: p of a two-sided t-test; None for fewer than two values."""
    if len(differences) < 2:
        return None
    mean, error = (
        float(differences.mean()),
        float(differences.std(ddof=1) / np.sqrt(len(differences))),
    )
    if error <= 1e-12 * abs(mean):
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))


def is_share(metric: str) -> bool:
    """Check whether differences of a metric are written in points."""
    return "accuracy" in metric


def _write_difference(value: float, metric: str) -> str:
    written = f"{100 * value:+.1f}" if is_share(metric) else f"{value:+.4f}"
    return written.replace("-", "\N{MINUS SIGN}")


def _write_sentence(row: Mapping[str, Any], metric: str) -> str:
    if row["value"] is None:
        return f"{row['subset']} and {row['other']} have no seed in common."
    difference = _write_difference(row["value"], metric)
    difference += f" points of {metric}" if is_share(metric) else f" {metric}"
    if row["low"] is None:
        return f"{row['subset']}: {difference} against {row['other']}, one seed only: no interval."
    verdict = "is not told apart from"
    if row["p_holm"] < LEVEL:
        verdict = "beats" if row["value"] > 0 else "loses to"
    low, high = (_write_difference(row[end], metric) for end in ("low", "high"))
    span = f"95 % {low} to {high}, {row['n']} seeds"
    p = row["p_holm"]
    span += f"; corrected p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return f"{row['subset']} {verdict} {row['other']} of the same budget: {difference} ({span})."
