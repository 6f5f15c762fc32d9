"""Inputs of a report: the artifacts passed to it, sorted by their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Artifact, Checkpoint, Features, Fit, Metrics, Pairs, PlanView, Responses
from rmplug.arrays import Array
from rmplug.data.messages import count_characters
from rmplug.data.subsets import subset_rows

from ._contributions import Floats, PairContributions, contributions
from ._hidden import hidden_ids
from ._loop_rows import told_apart
from ._plotted import Plotted, plotted
from ._training_examples import Checked, checked_rows
from ._trajectories import Trajectory, left_out_of, trajectories

Row = Mapping[str, Any]

MOST_REWARDS = 8


def is_of_audit(row: Row) -> bool:
    """Check whether a row is about responses that were changed on purpose, or about the originals
    beside them."""
    return "perturbation" in row and "theme" in row


@dataclass(frozen=True)
class RewardColumns:
    """One reward, aligned to the rows of the pairs; NaN where it has no score."""

    name: str
    margin: Floats
    chosen: Floats | None = None
    rejected: Floats | None = None


@dataclass(frozen=True)
class ResponseScores:
    """Rewards of single responses."""

    name: str
    values: Floats


@dataclass
class Inputs:
    """Everything the report may show."""

    plan: PlanView
    pairs: Pairs | None = None
    data: list[Pairs | Responses] = field(default_factory=list)
    rewards: list[RewardColumns] = field(default_factory=list)
    rewards_left_out: int = 0
    scores: list[ResponseScores] = field(default_factory=list)
    measures: list[Features] = field(default_factory=list)
    metrics: list[Row] = field(default_factory=list)
    audit: list[Row] = field(default_factory=list)
    """Metrics about responses that were changed on purpose; they are not among ``metrics``."""
    fits: list[Fit] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    contributions: PairContributions | None = None
    trajectories: list[Trajectory] = field(default_factory=list)
    trajectories_left_out: int = 0
    hidden: frozenset[str] = frozenset()
    """Ids of the rows whose texts no page may show, as ``is_hidden`` asks for them."""
    checked: Checked = field(default_factory=lambda: Checked((), ()))
    plots: list[Plotted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lengths: dict[str, Floats] = {}
        if self.pairs is not None:
            for side in ("chosen", "rejected"):
                self.lengths[side] = characters(self.pairs, side)

    @property
    def gap(self) -> Floats | None:
        """Length gap: characters of the chosen response minus those of the rejected one."""
        return self.lengths["chosen"] - self.lengths["rejected"] if self.lengths else None

    @property
    def numbers(self) -> list[Row]:
        """Numbers of fits and checkpoints, each with the step that reported it."""
        stepped = [(one.name, one.numbers) for one in self.fits]
        stepped += [(one.name, one.numbers) for one in self.checkpoints]
        return [{"step": step, **row} for step, rows in stepped for row in rows]

    @property
    def subsets(self) -> list[str] | None:
        """Subset of each pair, an empty string where it has none."""
        if self.pairs is None or "subset" not in self.pairs.columns:
            return None
        return [str(name or "") for name in self.pairs["subset"].to_pylist()]

    @property
    def rows_by_subset(self) -> dict[str, Array]:
        """The indices of the rows of each named subset of the pairs."""
        return {} if self.pairs is None else subset_rows(self.pairs.table)

    def number(self, reward: str) -> int:
        """Return the index of a reward among all: its colour on the whole page."""
        names = [one.name for one in self.rewards] + [one.name for one in self.scores]
        named = [row for row in (*self.metrics, *self.audit) if row.get("kind") != "baseline"]
        others = [str(row["model"]) for row in named if row.get("model")]
        order = list(dict.fromkeys(names + others))
        return order.index(reward) if reward in order else 0


def gather(
    items: Sequence[Artifact],
    plan: PlanView,
    responses: int = 10,
    plots: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Inputs:
    """Sort the items by kind, rewards aligned to their pairs; of rewards by token, the first
    ``responses``; join the columns of plots."""
    data = [item for item in items if isinstance(item, Pairs | Responses)]
    features = [item for item in items if isinstance(item, Features)]
    hidden = hidden_ids(features)
    rewarding = [item for item in features if _margins(item)]
    pairs = _about(rewarding, [item for item in data if isinstance(item, Pairs)])
    rewards = [one for item in rewarding for one in _rewards(item, pairs)]
    every = [row for item in items if isinstance(item, Metrics) for row in _rows(item)]
    metrics = [row for row in every if not is_of_audit(row)]
    inputs = Inputs(
        plan=plan,
        pairs=pairs,
        data=data,
        rewards=rewards[:MOST_REWARDS],
        rewards_left_out=max(0, len(rewards) - MOST_REWARDS),
        scores=[one for item in features for one in _scores(item)][:MOST_REWARDS],
        measures=[item for item in features if not _margins(item) and not _scores(item)],
        trajectories=[one for item in features for one in trajectories(item, responses, hidden)],
        trajectories_left_out=sum(left_out_of(item, responses) for item in features),
        metrics=metrics,
        audit=[row for row in every if is_of_audit(row)],
        fits=[item for item in items if isinstance(item, Fit)],
        checkpoints=[item for item in items if isinstance(item, Checkpoint)],
        contributions=contributions(features, pairs),
        hidden=hidden,
        checked=checked_rows(features),
        plots=plotted(items, plots),
    )
    if not any(row["metric"] == "accuracy" for row in metrics):
        inputs.metrics = [*metrics, *_plain_accuracy(inputs)]
    return inputs


def characters(pairs: Pairs, side: str) -> Floats:
    """Count the Unicode code points of each response."""
    counts = [count_characters(texts) for texts in pairs.chunks(side)]
    return np.concatenate([np.empty(0), *counts])


def _margins(features: Features) -> list[str]:
    return [name for name in features.values if name.split(".")[0] == "margin"]


def _about(rewards: Sequence[Features], pairs: Sequence[Pairs]) -> Pairs | None:
    """Select the pairs with most ids of the first reward; the first pairs without a reward."""
    if len(pairs) < 2 or not rewards:
        return pairs[0] if pairs else None
    ids = rewards[0].table["id"]
    shared = [int(pc.sum(pc.is_in(ids, value_set=one["id"])).as_py() or 0) for one in pairs]
    return pairs[int(np.argmax(shared))]


def _rewards(features: Features, pairs: Pairs | None) -> list[RewardColumns]:
    table = features.table
    if pairs is not None and not table["id"].equals(pairs["id"]):
        table = table.take(pc.index_in(pairs["id"], value_set=table["id"]))
    rewards = []
    for name in _margins(features):
        output = name.removeprefix("margin")
        sides = (_column(table, f"{side}{output}") for side in ("chosen", "rejected"))
        margin = _column(table, name)
        if margin is not None:
            rewards.append(RewardColumns(f"{features.name}{output}" or "reward", margin, *sides))
    return rewards


def _column(table: pa.Table, name: str) -> Floats | None:
    if name not in table.column_names or pa.types.is_fixed_size_list(table[name].type):
        return None
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _scores(features: Features) -> list[ResponseScores]:
    scores = []
    for name in features.values:
        values = _column(features.table, name) if name.split(".")[0] == "reward" else None
        if values is not None:
            scores.append(ResponseScores(f"{features.name}{name.removeprefix('reward')}", values))
    return scores


def _rows(metrics: Metrics) -> list[Row]:
    return [{"step": metrics.name, **row} for row in told_apart(metrics.table.to_pylist())]


def _plain_accuracy(inputs: Inputs) -> list[Row]:
    """Compute accuracy from the margins, without intervals, where no evaluator ran."""
    margins = {("model", one.name): one.margin for one in inputs.rewards}
    if margins and inputs.gap is not None:
        margins["baseline", "longer"] = inputs.gap
    rows: list[Row] = []
    for (kind, name), margin in margins.items():
        parts = {"all": np.arange(len(margin)), **inputs.rows_by_subset}
        for subset, part in parts.items():
            finite = margin[part][np.isfinite(margin[part])]
            row = {"metric": "accuracy", "subset": subset, "low": None, "high": None}
            value = float(((np.sign(finite) + 1) / 2).mean()) if len(finite) else None
            rows.append({**row, "value": value, "n": len(finite), "model": name, "kind": kind})
    return rows
