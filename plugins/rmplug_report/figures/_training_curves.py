"""Training curves where numbers were logged by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rmplug import Checkpoint
from rmplug_report.inputs._metric_names import is_share
from rmplug_report.inputs._metric_names import titled as metric_words
from rmplug_report.inputs._wording import label

from ._interval_dots import PERCENT
from ._palette import LIGHT, reward_colour
from ._panels import many_panels, ticks, titled
from ._render import HALF, WIDE, Drawing

Lines = dict[tuple[str, str], list[tuple[float, float]]]
"""The points of each training and part of its data."""

CLOCKS = ("step", "iteration", "epoch")
PATTERNS = ("solid", (0, (2, 1.4)), (0, (5, 2)))
"""Dashes of the parts of several trainings' data."""
NAME_WIDTH, NAME_HEIGHT = 230, 17
"""Pixels that the name of a training takes below the panels."""


def clock(row: Mapping[str, Any]) -> str | None:
    """Return the column with the time at which a number was logged."""
    return next((c for c in CLOCKS if isinstance(row.get(c), int | float)), None)


def curves(
    checkpoints: Sequence[Checkpoint],
) -> dict[str, Lines]:
    """Return, by metric, the points of each checkpoint and part, where there are two or more."""
    by_metric: dict[str, Lines] = {}
    for one in checkpoints:
        for row in one.numbers:
            at = clock(row)
            if at and row.get("value") is not None:
                line = (one.name, str(row.get("subset") or ""))
                points = by_metric.setdefault(str(row["metric"]), {}).setdefault(line, [])
                points.append((float(row[at]), float(row["value"])))
    longest = {m: max(map(len, lines.values())) for m, lines in by_metric.items()}
    return {metric: lines for metric, lines in by_metric.items() if longest[metric] > 1}


def training(checkpoints: Sequence[Checkpoint]) -> Drawing | None:
    """Draw every metric that was logged over time, one panel each; of several trainings, each has
    its colour and is named below."""
    by_metric = curves(checkpoints)
    if not by_metric:
        return None
    when = next(w for c in checkpoints for row in c.numbers if (w := clock(row)))
    names = list(dict.fromkeys(label(name) for drawn in by_metric.values() for name, _ in drawn))

    def draw(width: int) -> Figure:
        styles = _styles(by_metric)
        columns = max(1, width // NAME_WIDTH)
        foot = NAME_HEIGHT * -(-len(styles) // columns) if names[1:] else 0
        figure, axes = many_panels(width, len(by_metric), 200, left=50, foot=foot)
        for ax, (metric, drawn) in zip(axes, by_metric.items(), strict=True):
            for line, points in drawn.items():
                alone = "" if points[1:] else "o"
                ax.plot(*zip(*sorted(points), strict=True), marker=alone, markersize=4.5,
                        linewidth=2, **styles[line])  # fmt: skip
            _axes(ax, metric, when)
            if not foot:
                # where it covers no line, in the colours of the lines instead of beside samples
                ax.legend(loc="best", frameon=False, fontsize=10.5, labelcolor="linecolor",
                          handlelength=0, handletextpad=0, borderpad=0.2)  # fmt: skip
        if foot:
            samples = [Line2D([], [], linewidth=2, **style) for style in styles.values()]
            figure.legend(handles=samples, loc="lower left", ncols=columns, frameon=False,
                          fontsize=10.5, handlelength=1.8)  # fmt: skip
        return figure

    return Drawing(
        "training",
        "Training curves",
        "Numbers as the trainers logged them.",
        "Curves of " + ", ".join(by_metric) + (f" of {', '.join(names)}" if names[1:] else ""),
        draw,
        width=WIDE if len(by_metric) > 1 else HALF,
    )


def _axes(ax: Axes, metric: str, when: str) -> None:
    titled(ax, label(metric_words(metric), 27))
    ax.margins(y=0.2)
    ax.set_xlabel(when)
    ax.xaxis.set_major_locator(ticks(4))
    ax.yaxis.set_major_locator(ticks(4))
    if is_share(metric):
        ax.yaxis.set_major_formatter(PERCENT)


def _styles(by_metric: Mapping[str, Lines]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return colour, dashes and label of each line: of one training, a colour for each part; of
    several, a colour for each training, and dashes for each part."""
    lines = list(dict.fromkeys(line for metric in by_metric.values() for line in metric))
    names, parts = (list(dict.fromkeys(keys)) for keys in zip(*lines, strict=True))
    if len(names) == 1:
        return {
            line: {"color": LIGHT[reward_colour(place)], "label": label(line[1] or line[0], 18)}
            for place, line in enumerate(lines)
        }
    return {
        (name, part): {
            "color": LIGHT[reward_colour(names.index(name))],
            "linestyle": PATTERNS[parts.index(part) % len(PATTERNS)],
            "label": f"{label(name, 18)}, {label(part, 12)}" if part else label(name, 24),
        }
        for name, part in lines
    }
