"""Statistics of a plot: means of its parts with a band, and rank correlations, over groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.bootstrap import intervals, units_of
from rmplug.stats.estimates import spearman

from ._contributions import Floats
from ._plotted import Plotted

RESAMPLES = 1000
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


def parts_of(plot: Plotted, seed: int) -> list[Part]:
    """Return the parts of a plot in order: of equally many rows, equal numbers in one part; the
    categories by name. None where fewer than three parts of numbers would be left."""
    names, numbered = _cut(plot)
    if plot.x is not None and len(names) < 3:
        return []
    across = plot.x if plot.x is not None else numbered.astype(np.float64)
    sizes = np.bincount(numbered, minlength=len(names))
    means = np.bincount(numbered, plot.y, len(names)) / sizes
    middles = np.bincount(numbered, across, len(names)) / sizes
    bounds = _bounds(numbered, plot.y, plot.groups, len(names), seed)
    parts = []
    for i, name in enumerate(names):
        inside = across[numbered == i]
        ends = float(inside.min()), float(inside.max())
        parts.append(
            Part(name, float(middles[i]), *ends, float(means[i]), *bounds[i], int(sizes[i]))
        )
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


def _bounds(
    numbered: Array, y: Floats, groups: Array, parts: int, seed: int
) -> list[tuple[float | None, float | None]]:
    """Return the 95 % interval of the mean of each part: groups are drawn with replacement."""
    units = units_of(groups, seed)
    number = int(units.max(initial=-1)) + 1
    cells = units * parts + numbered
    sums = np.bincount(cells, y, number * parts).reshape(number, parts)
    counts = np.bincount(cells, minlength=number * parts).reshape(number, parts)
    columns = {f"sum {i}": sums[:, i] for i in range(parts)}
    columns |= {f"rows {i}": counts[:, i].astype(np.float64) for i in range(parts)}

    def means(drawn: Mapping[str, Array]) -> dict[str, Array]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {str(i): drawn[f"sum {i}"] / drawn[f"rows {i}"] for i in range(parts)}

    found = intervals(columns, np.arange(number), means, RESAMPLES, seed)
    return [found.get(str(i), (None, None)) for i in range(parts)]


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
