"""Rows of one figure of one model: the whole, sections, subsets, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rmplug.stats.intervals import Bounds, percentile_interval, share_interval

from ._models import ScoredModel
from ._rules import Figure, Floats, Ints, Outcomes
from ._sums import Cells, Levels, Sums, Weights

Row: TypeAlias = dict[str, Any]

NO_SUBSET = "(none)"


@dataclass(frozen=True)
class Groups:
    """Prompt groups with items in each subset."""

    subset: Ints
    group: Ints
    counts: dict[tuple[int, ...], int]

    @classmethod
    def of(cls, outcomes: Outcomes, cells: Cells) -> Groups:
        counted, subset = outcomes.counted, cells.cell % len(cells.subsets)
        pairs = np.unique(np.stack([subset[counted], cells.group[counted]], axis=1), axis=0)
        return cls(pairs[:, 0], pairs[:, 1], {})

    def free(self, members: Ints) -> int:
        """Count the groups that can vary: those of these subsets, less one per further subset."""
        key = tuple(members.tolist())
        if key not in self.counts:
            inside = np.isin(self.subset, members)
            subsets = len(np.unique(self.subset[inside]))
            self.counts[key] = len(np.unique(self.group[inside])) - subsets + 1
        return self.counts[key]


def head(metric: str, subset: str, one: ScoredModel, level: str) -> Row:
    head = {"metric": metric, "subset": subset, "model": one.name, "kind": one.kind}
    return {**head, "level": level}


@dataclass(frozen=True)
class FigureRows:
    """One figure of one model, with the subsets and weights of its items."""

    one: ScoredModel
    figure: Figure
    now: Sums
    cells: Cells
    weights: Weights
    groups: Groups

    def rows(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """Yield the whole, values of ``by``, sections, subsets."""
        inside = self._inside()
        yield self._row("all", "overall", point.overall, draws.overall, inside)
        for index, name in enumerate(point.values):
            value, drawn = point.values[name], draws.values[name]
            yield self._row(name, "section", value, drawn, inside, index)
        for name, members in zip(self.weights.sections, self.weights.members, strict=True):
            yield self._row(name, "section", point.sections[name], draws.sections[name], members)
        if self.cells.subsets != (NO_SUBSET,) and self.figure.row is None:
            yield from self._subsets(point, draws)

    def _inside(self) -> Ints:
        members = self.weights.members
        return np.concatenate(members) if members else np.arange(len(self.cells.subsets))

    def _subsets(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """Yield each subset; over several values of ``by`` it is the mean over them."""
        shape = (-1, len(self.cells.values), len(self.cells.subsets))
        value, drawn = point.cells.reshape(shape), draws.cells.reshape(shape)
        for index, name in enumerate(self.cells.subsets):
            there = np.isfinite(value[0, :, index])
            as_section = self.figure.above == self.figure.metric and name in self.weights.sections
            if there.any() and not as_section:
                now, later = (v[:, there, index].mean(axis=1) for v in (value, drawn))
                yield self._row(name, "subset", now, later, np.asarray([index]))

    def _row(
        self,
        name: str,
        level: str,
        value: Floats,
        drawn: Floats,
        members: Ints,
        by: int | None = None,
    ) -> Row:
        metric = self.figure.metric if level == "subset" else self.figure.above
        items = self.now.items.reshape(len(self.cells.values), -1)[:, members]
        figure = float(value[0])
        low, high = self._bounds(figure, drawn, members)
        return {
            **head(metric, name, self.one, "cell" if self.figure.row else level),
            "value": figure if np.isfinite(figure) else None,
            "low": low,
            "high": high,
            "n": int(items.sum() if by is None else items[by].sum()),
            "row": self.figure.row,
            "column": self.figure.column,
        }

    def _bounds(self, value: float, drawn: Floats, members: Ints) -> Bounds:
        """Return the interval: of a share within 0 and 1, of the formula of ties without limits
        unless no resample of it varies."""
        groups = self.groups.free(members)
        if groups < 2 or not np.isfinite(value):
            return None, None
        subset = np.arange(self.cells.count) % len(self.cells.subsets)
        if self.now.is_share(self.figure.parts, np.isin(subset, members)):
            return share_interval(value, drawn, groups)
        low, high = percentile_interval(drawn, groups)
        empty = low is not None and high is not None and high - low < 1e-9
        if empty and 0 < value < 1:  # few cases, all alike: they do not show what varies
            return share_interval(value, drawn, groups)
        return low, high
