"""The rows of one figure of one model: the whole, sections, subsets, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rmplug.stats.intervals import Bounds, percentile_interval, share_interval

from ._models import Model
from ._rules import Figure, Floats, Ints, Outcomes
from ._sums import Cells, Levels, Sums, Weights

Row: TypeAlias = dict[str, Any]

NO_SUBSET = "(none)"


@dataclass(frozen=True)
class Groups:
    """Which prompt groups have items in which subset."""

    subset: Ints
    group: Ints
    known: dict[tuple[int, ...], int]

    @classmethod
    def of(cls, outcomes: Outcomes, cells: Cells) -> Groups:
        known, subset = outcomes.known, cells.cell % len(cells.subsets)
        pairs = np.unique(np.stack([subset[known], cells.group[known]], axis=1), axis=0)
        return cls(pairs[:, 0], pairs[:, 1], {})

    def free(self, places: Ints) -> int:
        """How many groups can vary: those of these subsets, less one for each further subset."""
        key = tuple(places.tolist())
        if key not in self.known:
            inside = np.isin(self.subset, places)
            subsets = len(np.unique(self.subset[inside]))
            self.known[key] = len(np.unique(self.group[inside])) - subsets + 1
        return self.known[key]


def head(metric: str, subset: str, one: Model, level: str) -> Row:
    head = {"metric": metric, "subset": subset, "model": one.name, "kind": one.kind}
    return {**head, "level": level}


@dataclass(frozen=True)
class FigureRows:
    """One figure of one model, and where its items count."""

    one: Model
    figure: Figure
    now: Sums
    cells: Cells
    weights: Weights
    groups: Groups

    def rows(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """The whole, values of ``by``, sections, subsets."""
        inside = self._inside()
        yield self._row("all", "overall", point.overall, draws.overall, inside)
        for place, name in enumerate(point.values):
            value, drawn = point.values[name], draws.values[name]
            yield self._row(name, "section", value, drawn, inside, place)
        for name, places in zip(self.weights.sections, self.weights.members, strict=True):
            yield self._row(name, "section", point.sections[name], draws.sections[name], places)
        if self.cells.subsets != (NO_SUBSET,) and self.figure.row is None:
            yield from self._subsets(point, draws)

    def _inside(self) -> Ints:
        members = self.weights.members
        return np.concatenate(members) if members else np.arange(len(self.cells.subsets))

    def _subsets(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """A subset over all values of ``by`` is the mean over them."""
        shape = (-1, len(self.cells.values), len(self.cells.subsets))
        value, drawn = point.cells.reshape(shape), draws.cells.reshape(shape)
        for place, name in enumerate(self.cells.subsets):
            there = np.isfinite(value[0, :, place])
            as_section = self.figure.above == self.figure.metric and name in self.weights.sections
            if there.any() and not as_section:
                now, later = (v[:, there, place].mean(axis=1) for v in (value, drawn))
                yield self._row(name, "subset", now, later, np.asarray([place]))

    def _row(
        self,
        name: str,
        level: str,
        value: Floats,
        drawn: Floats,
        places: Ints,
        by: int | None = None,
    ) -> Row:
        metric = self.figure.metric if level == "subset" else self.figure.above
        items = self.now.items.reshape(len(self.cells.values), -1)[:, places]
        figure = float(value[0])
        low, high = self._bounds(figure, drawn, places)
        return {
            **head(metric, name, self.one, "cell" if self.figure.row else level),
            "value": figure if np.isfinite(figure) else None,
            "low": low,
            "high": high,
            "n": int(items.sum() if by is None else items[by].sum()),
            "row": self.figure.row,
            "column": self.figure.column,
        }

    def _bounds(self, value: float, drawn: Floats, places: Ints) -> Bounds:
        """Bounds of a share stay within 0 and 1; the formula of ties does not."""
        groups = self.groups.free(places)
        if groups < 2 or not np.isfinite(value):
            return None, None
        subset = np.arange(self.cells.count) % len(self.cells.subsets)
        if self.now.is_share(self.figure.parts, np.isin(subset, places)):
            return share_interval(value, drawn, groups)
        return percentile_interval(drawn, groups)
