"""A figure of one number for each of many parts, with baselines as marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import in_percent
from rmplug_report.inputs._row_forms import distinct
from rmplug_report.inputs._wording import amount, label, span

from ._interval_dots import PERCENT, baseline_mark, dots, lines_of_text, room, row_dot
from ._panels import one_panel, ticks, zero_line
from ._render import Drawing, Numbers

MOST_PARTS = 40
MARKS: Sequence[tuple[Any, str]] = (
    ("solid", "solid"),
    ((0, (1, 1)), "dotted"),
    ((0, (3, 1)), "dashed"),
)
"""Styles of the marks of baselines, and the word for each."""


def parts(inputs: Inputs, file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """Draw one number of many parts, such as the error of each attribute; baselines as marks."""
    ruled = distinct([row for row in rows if row.get("kind") == "baseline"], "model")
    share = in_percent(str(rows[0]["metric"]), rows)
    subsets = distinct(rows, "subset")[:MOST_PARTS]
    several = max(sum(row["subset"] == subset for row in rows) for subset in subsets)
    height = max(27, 12 * several + 12)
    shown = ["the whole" if subset == "all" else subset for subset in subsets]

    def draw(width: int) -> Figure:
        left, letters = room(shown, width)
        figure, ax = one_panel(width, 46 + height * len(subsets), left, right=20, top=8, bottom=28)
        for index, subset in enumerate(subsets):
            inside = [row for row in rows if row["subset"] == subset]
            _part(ax, inputs, -float(index), inside, ruled)
        lines_of_text(ax, [-float(i) for i in range(len(subsets))], shown, letters)
        ax.set_ylim(0.5 - len(subsets), 0.5)
        ax.xaxis.set_major_locator(ticks(5))
        if share:
            ax.xaxis.set_major_formatter(PERCENT)
        elif any(row["value"] < 0 or (row.get("low") or 0) < 0 for row in rows):
            zero_line(ax)
        return figure

    body = [
        (str(row["subset"]), str(row.get("model") or ""), amount(row["value"], share),
         span(row.get("low"), row.get("high"), share), row.get("n"))
        for row in rows
    ]  # fmt: skip
    return Drawing(
        file,
        title,
        "Bars are 95 % CIs." + _baseline_note(ruled),
        f"{title}: " + "; ".join(f"{r['subset']} {amount(r['value'], share)}" for r in rows[:8]),
        draw,
        Numbers(("part", "of", "value", "95 % CI", "n"), body),
        width=760,
    )


def _part(ax: Axes, inputs: Inputs, y: float, rows: Sequence[Row], ruled: Sequence[str]) -> None:
    """Draw a dot for each model, an upright mark for each baseline."""
    models = [row for row in rows if row.get("kind") != "baseline"]
    offsets = [y + 0.5 - (i + 1) / (len(models) + 1) for i in range(len(models))]
    dots(ax, offsets, [row_dot(inputs, row) for row in models])
    for row in rows:
        if row.get("kind") == "baseline":
            index = ruled.index(str(row["model"])) if row.get("model") in ruled else 0
            baseline_mark(ax, y, row, MARKS[index % len(MARKS)][0])


def _baseline_note(ruled: Sequence[str]) -> str:
    if len(ruled) < 2:
        return "".join(f" Upright marks: {label(one)}." for one in ruled)
    names = [f"{label(one)} ({MARKS[i % len(MARKS)][1]})" for i, one in enumerate(ruled)]
    return f" Upright marks: {', '.join(names)}."
