"""Curves with the band of their intervals: best of N, budgets, deciles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import in_percent, metric_title, titled
from rmplug_report.inputs._row_forms import by, distinct
from rmplug_report.inputs._wording import amount, label, number, span

from ._interval_dots import PERCENT
from ._palette import colour_of
from ._panels import MUTED, one_panel, ticks
from ._render import HALF, Drawing, Numbers

DASHES = ((0, (1, 1.6)), (0, (5, 2)), (0, (5, 2, 1, 2)), (0, (9, 3)))
"""Dash patterns of the lines of baselines."""
MOST_FIGURES = 8
APART = 14


@dataclass(frozen=True)
class Line:
    """The points of one model, in order; a dashed line is a baseline and has no band."""

    label: str
    points: Sequence[Row]
    colour: str
    dash: object = "solid"


def figures(inputs: Inputs, rows: Sequence[Row], tag: str) -> tuple[list[Drawing], int]:
    """Draw each metric and part of a step's curves; return also the number left out."""
    candidates = []
    for (axis, metric), inside in by(rows, "axis", "metric").items():
        for title, part in _parts(_against(metric, axis), inside):
            candidates.append((axis, metric, title, _lines(inputs, part)))
    drawn = [one for one in candidates if any(len(line.points) > 1 for line in one[3])]
    alone = len(drawn) == 1
    shown = [
        curve(f"curve-{tag}-{index + 1}", title, axis, metric, lines, alone)
        for index, (axis, metric, title, lines) in enumerate(drawn[:MOST_FIGURES])
    ]
    return shown, max(0, len(drawn) - MOST_FIGURES)


def _against(metric: str, axis: str) -> str:
    """Return a curve's title, without what a metric's name repeats of its axis."""
    over = axis.split(",")[0]
    named = f"-by-{over.lower().replace(' ', '-')}"
    return f"{titled(metric.removesuffix(named))} against {over}"


def _parts(title: str, rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return each subset's rows, ``all`` first; one part where subsets only name the points."""
    parts = by(rows, "subset")
    most = max(len(inside) for inside in by(rows, "subset", "model").values())
    if len(parts) == 1 or most == 1:
        only = next(iter(parts))[0] if len(parts) == 1 else "all"
        return [(title if only in ("", "all") else f"{title}, {only}", list(rows))]
    ordered = sorted(parts, key=lambda key: key[0] != "all")
    return [(title if key[0] == "all" else f"{title}, {key[0]}", parts[key]) for key in ordered]


def _lines(inputs: Inputs, rows: Sequence[Row]) -> list[Line]:
    lines, dashed = [], 0
    for (model,), points in by(rows, "model").items():
        ordered = sorted(points, key=lambda row: float(row["at"]))
        if points[0].get("kind") == "baseline":
            lines.append(Line(model, ordered, MUTED, DASHES[dashed % len(DASHES)]))
            dashed += 1
        else:
            lines.append(Line(model, ordered, colour_of(inputs, model)))
    return lines


def curve(
    file: str, title: str, axis: str, metric: str, lines: Sequence[Line], alone: bool
) -> Drawing:
    """Draw every model's line with its band, named at its right end."""
    rows = [row for line in lines for row in line.points]
    share = in_percent(metric, rows)
    labels = [label(line.label, 18) for line in lines]

    def draw(width: int) -> Figure:
        longest = max((len(label) for label in labels), default=0)
        right = min(longest * 6.7 + 16, width * 0.34) if longest else 16
        height = max(250, APART * len(lines) + 80)
        figure, ax = one_panel(width, height, 52, right=right, top=14, bottom=44)
        for line in lines:
            _line(ax, line)
        _axes(ax, rows, axis, share)
        _names(ax, lines, int(right / 6.5), height - 58)
        return figure

    body = [
        (str(row.get("model") or ""), number(row["at"]), amount(row["value"], share),
         span(row.get("low"), row.get("high"), share), row.get("n"))
        for row in rows
    ]  # fmt: skip
    dashed = any(line.dash != "solid" for line in lines)
    return Drawing(
        file,
        title,
        "Bands are 95 % CIs." + " Dashed: baselines." * dashed,
        f"{title}: " + ", ".join(distinct(rows, "model")),
        draw,
        Numbers(("model", axis, metric_title(metric), "95 % CI", "n"), body),
        width=760 if alone else HALF,
    )


def _line(ax: Axes, line: Line) -> None:
    x = np.array([row["at"] for row in line.points], dtype=np.float64)
    y = np.array([row["value"] for row in line.points], dtype=np.float64)
    low, high = (
        np.array([row.get(end) for row in line.points], dtype=np.float64) for end in ("low", "high")
    )
    if np.isfinite(low).any() and line.dash == "solid":
        ax.fill_between(x, low, high, color=line.colour, alpha=0.14, linewidth=0)
    ax.plot(x, y, color=line.colour, linewidth=2.2, linestyle=line.dash)
    if len(x) <= 24 and line.dash == "solid":
        ax.plot(x, y, "o", color=line.colour, markersize=4.5)


def is_logarithmic(at: Sequence[float]) -> bool:
    """Check whether the positions are counts that span more than a decade."""
    return min(at) > 0 and max(at) > 10 * min(at) and all(float(one).is_integer() for one in at)


def _axes(ax: Axes, rows: Sequence[Row], axis: str, share: bool) -> None:
    at = [float(row["at"]) for row in rows]
    ax.set_xlabel(axis)
    ax.yaxis.set_major_locator(ticks(5))
    if share:
        ax.yaxis.set_major_formatter(PERCENT)
    if is_logarithmic(at):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if max(at) < 1000 else (1.0,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(ticks(5))
        if min(at) >= 0 and max(at) <= 1 and "share" in axis:
            ax.xaxis.set_major_formatter(PERCENT)


def _names(ax: Axes, lines: Sequence[Line], letters: int, height: float) -> None:
    """Write each line's name beside its end, moved so that none covers another."""
    low, high = ax.get_ylim()
    pixel = (high - low) / height
    ends = sorted(
        ((float(line.points[-1]["value"]), line) for line in lines), key=lambda end: -end[0]
    )
    heights: list[float] = []
    for value, _ in ends:
        heights.append(min(value, heights[-1] - APART * pixel) if heights else value)
    lift = max(0.0, low - heights[-1] + 6 * pixel) if heights else 0.0
    for at, (_, line) in zip(heights, ends, strict=True):
        ax.text(1.02, at + lift, label(line.label, max(letters, 6)), va="center",
                transform=ax.get_yaxis_transform(), color=line.colour, fontsize=10.5)  # fmt: skip
