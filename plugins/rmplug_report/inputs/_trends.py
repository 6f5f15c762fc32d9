"""Statistics of a plot: means of its parts with a band, and rank correlations, over groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.estimates import mean, spearman

from ._plotted import Plotted

MOST_PARTS, FEWEST_ROWS = 12, 20
"""Parts of a trend, and the rows that a part must have on average."""


@dataclass(frozen=True)
class Part:
    """The rows with about the same number, or of one category; the mean of the target there."""

    name: str
    x: float
    """The mean of the rows' numbers; the part's place among the categories."""
    lowest: float
    highest: float
    value: float
    low: float | None
    high: float | None
    rows: int


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of the rows of a subset, or of all."""

    subset: str
    value: float
    low: float | None
    high: float | None
    rows: int
    groups: int


def parts_of(plot: Plotted) -> list[Part]:
    """Return the parts of a plot in order: of equally many rows, equal numbers in one part; the
    categories by name. None where fewer than three parts of numbers would be left. The interval of
    a part counts the groups that it has rows of: none where there is one alone."""
    names, numbered = _cut(plot)
    if plot.x is not None and len(names) < 3:
        return []
    across = plot.x if plot.x is not None else numbered.astype(np.float64)
    parts = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(numbered == number)
        inside, middle = across[rows], mean(plot.y[rows])
        ends = float(inside.mean()), float(inside.min()), float(inside.max())
        bounds = middle.interval(plot.groups[rows])
        parts.append(Part(name, *ends, middle.value, *bounds, len(rows)))
    return parts


def _cut(plot: Plotted) -> tuple[list[str], Array]:
    """Return the names of the parts, and the number of the part of each row."""
    if plot.x is None:
        assert plot.categories is not None
        found, numbered = np.unique(plot.categories.astype(str), return_inverse=True)
        return [str(name) for name in found], numbered
    most = max(1, min(MOST_PARTS, len(plot.x) // FEWEST_ROWS))
    distinct = np.unique(plot.x)
    if len(distinct) > most:
        distinct = np.unique(np.quantile(plot.x, np.arange(1, most) / most, method="lower"))
    cut = np.searchsorted(distinct, plot.x)
    filled, numbered = np.unique(cut, return_inverse=True)
    return [str(i + 1) for i in range(len(filled))], numbered


def correlations(plot: Plotted) -> Iterator[Correlation]:
    """Yield the rank correlation of all rows, then of each subset; none of categories."""
    if plot.x is None:
        return
    yield _correlation("all", plot, np.ones(len(plot.y), dtype=bool))
    if plot.subsets is not None:
        for name in sorted(set(plot.subsets.tolist())):
            yield _correlation(name, plot, plot.subsets == name)


def _correlation(subset: str, plot: Plotted, rows: Array) -> Correlation:
    assert plot.x is not None
    groups = plot.groups[rows]
    estimate = spearman(plot.x[rows], plot.y[rows])
    bounds = estimate.interval(groups)
    return Correlation(subset, estimate.value, *bounds, int(rows.sum()), len(np.unique(groups)))
