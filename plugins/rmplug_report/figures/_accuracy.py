"""Figures of accuracy, over all pairs and by subset, with baselines."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import between, count, percent

from ._interval_dots import PERCENT, baseline_mark, dots, lines_of_text, room, row_dot
from ._panels import INK, LINE, MUTED, one_panel, ticks
from ._render import Drawing, Numbers

MOST_SUBSETS = 40


def accuracy(inputs: Inputs, lookup: MetricLookup) -> Drawing:
    """Draw accuracy over all pairs: every reward and every baseline."""
    rows = sorted(lookup.accuracies("all"), key=lambda row: -row["value"])
    names = [str(row["model"]) for row in rows]
    at = [-float(i) for i in range(len(rows))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 38 + 32 * len(rows), left, right=72, top=8, bottom=26)
        dots(ax, at, [row_dot(inputs, row) for row in rows])
        _accuracy_axis(ax, rows)
        lines_of_text(ax, at, names, letters)
        for y, row in zip(at, rows, strict=True):
            ax.text(1.02, y, percent(row["value"]), transform=ax.get_yaxis_transform(), va="center",
                    weight="bold" if row["kind"] == "model" else "normal", color=INK)  # fmt: skip
        return figure

    return Drawing(
        "accuracy",
        "Accuracy",
        "Filled: rewards. Hollow: baselines. A tie counts one half; bars are 95 % CIs from "
        "resampling prompts.",
        "Accuracy: " + "; ".join(f"{row['model']} {percent(row['value'])}" for row in rows),
        draw,
        _numbers(rows, ("model", "kind")),
    )


def _accuracy_axis(ax: Axes, rows: Sequence[Row]) -> None:
    ends = [end for row in rows for end in (row["value"], row.get("low"), row.get("high"))]
    bounds = [end for end in ends if end is not None]
    low, high = min([0.45, *bounds]), max([0.55, *bounds])
    ax.set_xlim(max(-0.02, low - 0.03), min(1.02, high + 0.03))
    ax.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.xaxis.set_major_locator(ticks(5))


def _numbers(rows: Sequence[Row], keys: Sequence[str]) -> Numbers:
    body = [
        (
            *(str(row[key]) for key in keys),
            percent(row["value"]),
            between(row["low"], row["high"]),
            row["n"],
        )
        for row in rows
    ]
    return Numbers((*keys, "accuracy", "95 % CI", "pairs"), body)


def accuracy_by_subset(inputs: Inputs, lookup: MetricLookup) -> Drawing:
    """Draw accuracy in each subset, rewards and the longer baseline on the same line."""
    subsets = lookup.subsets[:MOST_SUBSETS]
    rows = {subset: _of_subset(lookup, subset) for subset in subsets}
    models = max((sum(r["kind"] == "model" for r in inside) for inside in rows.values()), default=1)
    height = max(26, 11 * models + 12)

    def draw(width: int) -> Figure:
        left, letters = room(subsets, width)
        figure, ax = one_panel(width, 38 + height * len(subsets), left, top=8, bottom=26)
        for index, subset in enumerate(subsets):
            _subset_line(ax, inputs, -index, rows[subset], models)
            if index:
                ax.axhline(0.5 - index, color=LINE, linewidth=0.6)
        ax.set_ylim(0.5 - len(subsets), 0.5)
        _accuracy_axis(ax, [row for inside in rows.values() for row in inside])
        lines_of_text(ax, [-float(i) for i in range(len(subsets))], subsets, letters)
        return figure

    flat = [row for subset in lookup.subsets for row in lookup.accuracies(subset)]
    more = len(lookup.subsets) - len(subsets)
    return Drawing(
        "accuracy-by-subset",
        "Accuracy by subset",
        "Sorted by size, then by name. The upright mark is the longer baseline on the same pairs."
        + (f" {count(more, 'smaller subset')} left out of the figure." if more else ""),
        f"Accuracy with intervals in {count(len(subsets), 'subset')}, with the longer baseline.",
        draw,
        _numbers(flat, ("subset", "model")),
    )


def _of_subset(lookup: MetricLookup, subset: str) -> list[Row]:
    accuracies = lookup.accuracies(subset)
    return [row for row in accuracies if row["kind"] == "model" or row["model"] == "longer"]


def _subset_line(ax: Axes, inputs: Inputs, y: float, rows: Sequence[Row], models: int) -> None:
    rewards = [row for row in rows if row["kind"] == "model"]
    offsets = [y + 0.5 - (i + 1) / (models + 1) for i in range(len(rewards))]
    dots(ax, offsets, [row_dot(inputs, row) for row in rewards])
    for row in rows:
        if row["kind"] == "baseline":
            baseline_mark(ax, y, row)
