"""The result of each strategy against the labels it has bought, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Metrics, Selection, notice
from rmplug.errors import some
from rmplug_hybrid.performance._candidate_table import WantedResult, select_model

from ._budget_curve import SCHEMA, MeasuredRoute, make_difference_rows, make_row
from ._predicted_routes import RANDOM

AXIS, ROUND, NEW, ITEM = "number of labels", "round", "new", "item"
ON_AVERAGE = "on average"
NOWHERE = -1.0
"""The number of labels of a mean over all numbers of labels, which is no point of a curve."""

Place = tuple[str, ...]
"""A round of an item: the round, then the items of the loops around it."""
Measured = dict[tuple[str, int], dict[str, float]]
"""The values of each strategy and number of labels, by seed."""


@dataclass(frozen=True)
class Loops:
    """The columns that loops have added: the round, and items from the inside out."""

    items: tuple[str, ...]
    strategy: str

    @property
    def places(self) -> list[str]:
        return [ROUND, *self.items]

    def name_of(self, place: Place) -> tuple[str, str]:
        """Return the strategy of a place, and its seed: the items of all other loops."""
        by_column = dict(zip(self.items, place[1:], strict=True))
        strategy = strategy_name(by_column.pop(self.strategy))
        return strategy, "/".join(by_column.values())


def make_label_curve(results: Metrics, chosen: Selection, wanted: WantedResult) -> Metrics:
    """Make the points of each strategy, and their differences from random ones."""
    table = select_model(results, wanted)
    loops = _loops_of(table, results.name)
    labels = _count_labels(chosen, loops)
    measured = _measured(table, labels, loops, results.name)
    points = [
        _point(f"{strategy} at {at} labels", strategy, at, by_seed)
        for (strategy, at), by_seed in sorted(measured.items(), key=lambda entry: entry[0][1])
    ]
    single = [point.name for point in points if len(point.observed) < 2]
    notice("one result only: no interval; repeat the loop over seeds", single, "kept", "points")
    rows = [
        {**make_row(point, strategy, wanted.metric), "axis": AXIS, "kind": "model"}
        for strategy in dict.fromkeys(point.strategy for point in points)
        for point in points
        if point.strategy == strategy
    ]
    fewest = min(point.at for point in points)
    later = [point for point in points if point.at > fewest]
    rows += make_difference_rows(_means(measured, fewest), wanted.metric)
    # the sentences of the means are enough for a person; each point has its numbers
    each = make_difference_rows(later, wanted.metric)
    rows += [{**row, "sentence": None} for row in each]
    return Metrics(pa.Table.from_pylist(rows, schema=SCHEMA))


def strategy_name(item: str) -> str:
    """Return the ``name`` of an item that is a mapping, else the item."""
    entries = dict(entry.partition("=")[::2] for entry in item.split(","))
    return entries.get("name", item)


def _loops_of(table: pa.Table, name: str) -> Loops:
    """Find the loops around the rounds, and the one over strategies."""
    items = tuple(c for c in table.column_names if c == ITEM or c.endswith(f"_{ITEM}"))
    if ROUND not in table.column_names or not items:
        raise DataError(
            f"{name or 'results'} has no column {ROUND!r} and {ITEM!r}: collect it from a repeat "
            "inside a for-each over strategies"
        )
    for column in items:
        if RANDOM in map(strategy_name, table[column].unique().to_pylist()):
            return Loops(items, column)
    seen = [item for column in items for item in table[column].unique().to_pylist()]
    raise DataError(
        f"{name or 'results'} has no strategy called {RANDOM!r} to compare with (items: "
        f"{some(seen)}); add one, such as {{name: random, by: random}}"
    )


def _count_labels(chosen: Selection, loops: Loops) -> dict[Place, int]:
    """Count the rows that were there before each round chose."""
    lacking = [name for name in (*loops.places, NEW) if name not in chosen.columns]
    if lacking:
        raise DataError(
            f"{chosen.name or 'chosen'} has no column {lacking[0]!r}; collect what uncertain or "
            "diverse chose in the same loops as the results"
        )
    before = pc.cast(pc.invert(chosen.table[NEW]), pa.int64())
    table = chosen.table.select(loops.places).append_column("before", before)
    sums = table.group_by(loops.places, use_threads=False).aggregate([("before", "sum")])
    columns = [sums[name].to_pylist() for name in (*loops.places, "before_sum")]
    return {tuple(place): count for *place, count in zip(*columns, strict=True)}


def _measured(table: pa.Table, labels: Mapping[Place, int], loops: Loops, name: str) -> Measured:
    """Return the values by strategy, number of labels and seed; rows without a value are left
    out."""
    columns = [table[column].to_pylist() for column in (*loops.places, "value")]
    found: Measured = {}
    empty = []
    for *place, value in zip(*columns, strict=True):
        if tuple(place) not in labels:
            raise DataError(
                f"{name or 'results'} has a round that chosen does not have ({some(place)}); "
                "collect both from the same loops"
            )
        strategy, seed = loops.name_of(tuple(place))
        at = labels[tuple(place)]
        if value is None or not np.isfinite(value):
            empty.append(f"{strategy} at {at} labels")
        elif seed in found.setdefault((strategy, at), {}):
            raise DataError(
                f"{name or 'results'} has more than one value for {strategy} at {at} labels; "
                "choose one with subset or result_of"
            )
        else:
            found[strategy, at][seed] = float(value)
    notice("no result", empty, "dropped", "points")
    if not any(found.values()):
        raise DataError(f"{name or 'results'} has no values; measure something else")
    return {key: by_seed for key, by_seed in found.items() if by_seed}


def _point(name: str, strategy: str, at: float, by_seed: Mapping[str, float]) -> MeasuredRoute:
    return MeasuredRoute(name, strategy, at, by_seed, tuple(by_seed.values()))


def _means(measured: Measured, fewest: float) -> Sequence[MeasuredRoute]:
    """Return each strategy's mean over all later numbers of labels, for seeds that have them
    all."""
    later: dict[str, list[dict[str, float]]] = {}
    for (strategy, at), by_seed in measured.items():
        if at > fewest:
            later.setdefault(strategy, []).append(by_seed)
    means: list[MeasuredRoute] = []
    for strategy, points in later.items():
        seeds = [seed for seed in points[0] if all(seed in by_seed for by_seed in points)]
        each: dict[str, Any] = {s: float(np.mean([one[s] for one in points])) for s in seeds}
        means.append(_point(f"{strategy} {ON_AVERAGE}", strategy, NOWHERE, each))
    return means
