"""Training curves where numbers were logged by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from rmplug import Checkpoint
from rmplug_report.inputs._metric_names import is_share
from rmplug_report.inputs._metric_names import titled as metric_words
from rmplug_report.inputs._wording import label

from ._interval_dots import PERCENT
from ._palette import LIGHT, reward_colour
from ._panels import many_panels, ticks, titled
from ._render import HALF, WIDE, Drawing

Lines = dict[tuple[str, str], list[tuple[float, float]]]

CLOCKS = ("step", "iteration", "epoch")


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
    """Draw every metric that was logged over time, one panel each."""
    by_metric = curves(checkpoints)
    if not by_metric:
        return None
    when = next(w for c in checkpoints for row in c.numbers if (w := clock(row)))
    lines = list(dict.fromkeys(line for metric in by_metric.values() for line in metric))

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(by_metric), 200, left=50)
        for ax, (metric, drawn) in zip(axes, by_metric.items(), strict=True):
            titled(ax, label(metric_words(metric), 27))
            for line, points in drawn.items():
                colour = LIGHT[reward_colour(lines.index(line))]
                ax.plot(*zip(*sorted(points), strict=True), color=colour, linewidth=2,
                        label=label(line[1] or line[0], 18))  # fmt: skip
            # where it covers no line, in the colours of the lines instead of beside samples of them
            ax.legend(loc="best", frameon=False, fontsize=10.5, labelcolor="linecolor",
                      handlelength=0, handletextpad=0, borderpad=0.2)  # fmt: skip
            ax.margins(y=0.2)
            ax.set_xlabel(when)
            ax.xaxis.set_major_locator(ticks(4))
            ax.yaxis.set_major_locator(ticks(4))
            if is_share(metric):
                ax.yaxis.set_major_formatter(PERCENT)
        return figure

    return Drawing(
        "training",
        "Training curves",
        "Numbers as the trainers logged them.",
        "Curves of " + ", ".join(by_metric),
        draw,
        width=WIDE if len(by_metric) > 1 else HALF,
    )
