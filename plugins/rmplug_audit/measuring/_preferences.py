"""Preferences that turn, and accuracies, where one or both responses are changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.intervals import Bounds, group_variance, t_quantile, wilson_interval
from rmplug.stats.metric_rows import wins
from rmplug.stats.several_tests import LEVEL, level_for_all
from rmplug.stats.t_tests import t_critical

from ._counterfactual_arrays import Change, Floats, Ints, Mask
from ._model import MeasuredModel

FEWEST_PROMPTS = 10
"""The prompts that a subset needs to be named as the worst one."""
ACCURACIES = {
    "accuracy-changed": ("the bad one changed", ("keeps", "worsens")),
    "accuracy-good-changed": ("the good one changed", ("keeps", "improves")),
    "accuracy-both-changed": ("both changed", ("keeps",)),
}
"""Accuracies after a change: what is changed, and the intentions for which labels still hold."""

FLIPS = {"flipped": "accuracy-changed", "flipped-good": "accuracy-good-changed"}
"""Shares of preferences that turn, and the accuracy with the same response changed."""


@dataclass(frozen=True)
class Share:
    """A share of preferences."""

    metric: str
    subset: str
    change: Change | None
    estimate: Estimate
    groups: Ints
    """The prompt group of each preference."""

    @property
    def prompts(self) -> int:
        return len(np.unique(self.groups))

    def interval(self, level: float = LEVEL) -> Bounds:
        """Return Wilson's interval at this level."""
        if level == LEVEL or self.prompts < 2:
            return self.estimate.interval(self.groups)
        wider = t_critical(level, self.prompts - 1) / t_quantile(self.prompts - 1)
        variance = group_variance(self.estimate.influence, self.groups) * wider**2
        # groups count where nothing varies, and the interval depends on them over the square
        counted = max(2, int(self.prompts / wider**2))
        return wilson_interval(self.estimate.value, variance, counted, self.prompts - 1)

    def row(self, bounds: Bounds) -> dict[str, Any]:
        """Return the row of metrics, without the names of model and change."""
        value, n = self.estimate.value, len(self.groups)
        return {"metric": self.metric, "subset": self.subset, "value": value, "low": bounds[0],
                "high": bounds[1], "n": n}  # fmt: skip


def raised_of(model: MeasuredModel, subset: str, part: Mask) -> Iterator[Share]:
    """Yield, for each change, the share of copies that score above their originals."""
    for index, change in enumerate(model.table.changes):
        rows = part & np.isfinite(model.differences[index])
        if rows.any():
            above = wins(model.differences[index][rows])
            yield Share("raised", subset, change, mean(above, "share"), model.table.group[rows])


def shares_of(model: MeasuredModel, subset: str, part: Mask) -> Iterator[Share]:
    """Yield the accuracy of the originals, and of each change what it does to preferences."""
    good, bad = model.table.preferences
    inside = part[good] & np.isfinite(model.original[good] - model.original[bad])
    good, bad = good[inside], bad[inside]
    groups = model.table.group[good]

    def share(metric: str, change: Change | None, won: Floats, rows: Mask) -> Iterator[Share]:
        if rows.any():
            yield Share(metric, subset, change, mean(won[rows], "share"), groups[rows])

    s, t = model.original[good], model.original[bad]
    yield from share("accuracy", None, wins(s - t), np.ones(len(s), dtype=bool))
    for index, change in enumerate(model.table.changes):
        made = model.table.rows[index] >= 0
        after = np.where(made, model.changed[index], model.original)
        s_new, t_new = after[good], after[bad]
        leads = {
            "accuracy-changed": s - t_new,
            "accuracy-good-changed": s_new - t,
            "accuracy-both-changed": s_new - t_new,
        }
        for (metric, of), changed in zip(FLIPS.items(), (made[bad], made[good]), strict=True):
            lead = leads[of]
            rows = changed & np.isfinite(lead) & (s > t)
            yield from share(metric, change, 1 - wins(lead), rows)
        for metric, lead in leads.items():
            if change.intention in ACCURACIES[metric][1]:
                yield from share(metric, change, wins(lead), np.isfinite(lead))


def worst_of(shares: list[Share], groups: int, seed: list[int]) -> tuple[Share, Bounds] | None:
    """Find the lowest of the accuracies under a change that keeps the quality, with an interval
    that is honest for choosing it: the lowest ends of intervals that hold all of them at once."""
    tried = [
        one
        for one in shares
        if one.change is not None
        and one.change.intention == "keeps"
        and one.metric in ACCURACIES
        and one.prompts > 1
    ]
    if not tried:
        return None
    tried.sort(key=lambda one: (one.subset, member_of(one)))
    influences = np.stack(
        [np.bincount(one.groups, one.estimate.influence, minlength=groups) / len(one.groups)
         for one in tried], axis=1)  # fmt: skip
    level = level_for_all(influences, seed)
    bounds = [one.interval(level) for one in tried]
    worst = min(tried, key=lambda one: one.estimate.value)
    lows, highs = ([end for end in ends if end is not None] for ends in zip(*bounds, strict=True))
    return worst, (min(lows), min(highs))


def member_of(share: Share) -> str:
    """Name a change and what it was made to, such as ``bullets~2, the bad one changed``."""
    return f"{share.change}, {ACCURACIES[share.metric][0]}"
