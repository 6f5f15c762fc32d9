"""The combination of rewards of the same rows, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Fit, Pairs, Responses, join, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._ensemble import combined, scales_of
from .members import MEMBER, Scale

if TYPE_CHECKING:
    from .combining import CombineRewards

OF_PAIRS, OF_RESPONSES, OF_MARGINS = ("chosen", "rejected", "margin"), ("reward",), ("margin",)


def combine_rewards(
    step: CombineRewards, rewards: Sequence[Features], reference: Fit | None
) -> Features:
    """Combine the rewards of the same rows."""
    if len(rewards) < 2:
        raise DataError("a combination needs two rewards at least")
    names = [one.name for one in rewards]
    columns = _columns_of_all(rewards)
    if step.needs_sides and columns == OF_MARGINS:
        raise DataError(
            f"{step.combine} needs the scores of both responses, and only margins are known of "
            f"{some(one.name for one in rewards if 'chosen' not in one.values)}; use mean, "
            "weighted or median"
        )
    scales = scales_of(step, names, reference)
    return join(rewards).map(Combined(step, tuple(names), columns, dict(scales)))


def rows_of(data: Pairs | Responses, reward: Features) -> Features:
    """Return a reward's rows of these data, in their order."""
    rows = pc.index_in(data["id"], value_set=reward.table["id"])
    if rows.null_count:
        lacking = data["id"].filter(pc.is_null(rows)).to_pylist()
        raise DataError(
            f"{reward.name} has no row for {len(lacking)} of {len(data)} rows of {data.name} "
            f"({some(lacking)}); give data that it was computed from, or a part of them"
        )
    return Features(reward.table.take(rows), reward.name)


def _columns_of_all(rewards: Sequence[Features]) -> tuple[str, ...]:
    """Return the columns that all rewards have: of responses, of pairs, or margins alone."""
    for columns in (OF_RESPONSES, OF_PAIRS, OF_MARGINS):
        if all(set(columns) <= set(one.values) for one in rewards):
            return columns
    have = "; ".join(f"{one.name} has {some(one.values, 8)}" for one in rewards)
    raise DataError(
        f"the rewards have neither 'reward' nor 'margin' in common ({have}); give queries of "
        "reward models on the same rows, each with one output"
    )


@dataclass(frozen=True)
class Combined:
    """The combination of joined rewards of a batch."""

    step: CombineRewards
    names: tuple[str, ...]
    columns: tuple[str, ...]
    scales: Mapping[str, Scale]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Array]:
        scores = {column: self._scaled(batch, column) for column in self.columns}
        whole = self._whole(scores)
        lead = scores[self.columns[-1]]
        missing = ~np.isfinite(lead).all(axis=1)
        notice("no finite score of a member", batch["id"].filter(pa.array(missing)).to_pylist())
        whole["disagreement"] = lead.std(axis=1)
        if "margin" in scores:
            whole["opposite"] = opposite(lead)
        kept = {
            f"{column}{MEMBER}{name}": values[:, index]
            for index, name in enumerate(self.names)
            for column, values in scores.items()
        }
        return whole | (kept if self.step.members else {})

    def _scaled(self, batch: pa.RecordBatch, column: str) -> Array:
        """Return a column of every member on the common scale, of shape (rows, members)."""
        found = []
        for name in self.names:
            values = np.asarray(batch[f"{name}.{column}"], dtype=np.float64)
            scale = self.scales.get(name)
            if scale is not None:
                shift = 0.0 if column == "margin" else scale.mean
                values = (values - shift) / scale.deviation
            found.append(values)
        return np.stack(found, axis=1)

    def _whole(self, scores: Mapping[str, Array]) -> dict[str, Array]:
        """Return the combination; of pairs with margin, probability and loss."""
        step = self.step
        weights = np.array([step.weights[name] for name in self.names] if step.weights else [])
        whole = {
            column: combined(values, step.combine, step.k, weights)
            for column, values in scores.items()
        }
        if "chosen" in whole:
            whole["margin"] = whole["chosen"] - whole["rejected"]
        if "margin" in whole:
            with np.errstate(invalid="ignore"):
                whole["loss"] = np.logaddexp(0.0, -whole["margin"])
            whole["probability"] = np.exp(-whole["loss"])
        return whole


def opposite(margins: Array) -> Array:
    """Count the pairs of members that prefer different responses; NaN where a margin is missing."""
    counts = (margins > 0).sum(axis=1) * (margins < 0).sum(axis=1)
    return np.where(np.isfinite(margins).all(axis=1), counts, np.nan)
