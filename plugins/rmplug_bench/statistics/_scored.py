"""Columns behind the metrics: the margins of each reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, notice
from rmplug_bench._arrays import Floats


@dataclass(frozen=True)
class Scored:
    """One reward on the pairs, in their order; NaN where it is missing."""

    name: str
    margin: Floats
    chosen: Floats | None = None
    rejected: Floats | None = None

    @property
    def sides(self) -> Floats | None:
        """Return the scores of both responses, of shape (pairs, 2), where both are known."""
        if self.chosen is None or self.rejected is None:
            return None
        return np.stack([self.chosen, self.rejected], axis=1)


def scored(data: Pairs, rewards: Sequence[Features]) -> list[Scored]:
    """Return every output of every reward, aligned to the pairs."""
    outputs = [one for reward in rewards for one in _outputs(data, reward)]
    names = [one.name for one in outputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the reward {twice[0]!r} is given twice; name each step once")
    for one in outputs:
        odd = data["id"].filter(pa.array(~np.isfinite(one.margin)))
        notice(f"{one.name}: no finite margin, left out of the metrics", odd.to_pylist(), "dropped")
    return outputs


def _outputs(data: Pairs, reward: Features) -> list[Scored]:
    margins = [name for name in reward.values if name.split(".")[0] == "margin"]
    if not margins and len(reward.values) == 1:
        margins = reward.values
    if not margins:
        raise DataError(
            f"{reward.name} has no column 'margin' (it has {', '.join(reward.values)}); "
            "give a query of a reward model on pairs, such as the kind 'reward'"
        )
    table = _aligned(data, reward)
    return [_output(table, reward.name, name) for name in margins]


def _output(table: pa.Table, step: str, margin: str) -> Scored:
    output = margin.removeprefix("margin") if margin.startswith("margin") else ""
    sides = (_column(table, f"{side}{output}") for side in ("chosen", "rejected"))
    values = _column(table, margin)
    assert values is not None
    return Scored(f"{step}{output}", values, *sides)


def _column(table: pa.Table, name: str) -> Floats | None:
    if name not in table.column_names:
        return None
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _aligned(data: Pairs, reward: Features) -> pa.Table:
    """Return the reward's rows in the order of the pairs; it may have more."""
    table, ids = reward.table, data["id"]
    if table["id"].equals(ids):
        return table
    rows = pc.index_in(ids, value_set=table["id"])
    if rows.null_count:
        first = ids.filter(pc.is_null(rows))[0].as_py()
        raise DataError(
            f"{reward.name} has no row for {rows.null_count} of {len(ids)} pairs "
            f"(first: {first}); evaluate it on the data it was computed from, or on a part of it"
        )
    return table.take(rows)
