"""The section of plots that the spec asks for by the names of columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.figures._scatter import categories, scatter
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._plotted import Plotted
from rmplug_report.inputs._trends import Correlation, correlations, parts_of
from rmplug_report.inputs._wording import between, label

from ._section import Section, Table


def plots(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of plots, a figure for each, and a table of all rank correlations."""
    if not inputs.plots:
        return None
    drawings, rows, notes = [], [], []
    for index, plot in enumerate(inputs.plots):
        if not len(plot.y):
            notes.append(f"{label(plot.target)} by {label(plot.by)}: no row has both values.")
            continue
        found = list(correlations(plot))
        drawings.append(_drawing(f"plot-{index + 1}", plot, found))
        rows += [_row(plot, one) for one in found]
    columns = ("target", "by", "subset", "Spearman", "95 % CI", "n", "prompts")
    tables = [Table("Rank correlations", Numbers(columns, rows), len(rows) > 12)] if rows else []
    lead = [
        "Bands and intervals follow from the variance over prompts; each is for one part, subset "
        "or plot by itself. There is none where all rows are of one prompt."
    ]
    return Section("plots", "Plots", lead, drawings=drawings, tables=tables, notes=notes)


def _drawing(file: str, plot: Plotted, found: list[Correlation]) -> Drawing:
    parts = parts_of(plot)
    return scatter(file, plot, found[0], parts) if found else categories(file, plot, parts)


def _row(plot: Plotted, one: Correlation) -> tuple[Any, ...]:
    value = one.value if one.value == one.value else None
    names = label(plot.target), label(plot.by), label(one.subset, 40)
    return (*names, value, between(one.low, one.high, 1), one.rows, one.groups)


def plot_numbers(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """Yield all rank correlations, as ``metrics.json`` has them."""
    for plot in inputs.plots:
        for one in correlations(plot):
            yield {"target": plot.target, "by": plot.by, "metric": "spearman",
                   "subset": one.subset, "value": one.value, "low": one.low, "high": one.high,
                   "n": one.rows, "groups": one.groups}  # fmt: skip
