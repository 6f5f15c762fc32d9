"""Reliability diagrams: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import between, decimal, label, percent

from ._interval_dots import PERCENT
from ._palette import colour_of
from ._panels import MUTED, many_panels, ticks, titled
from ._render import HALF, WIDE, Drawing, Numbers


def calibration(inputs: Inputs, lookup: MetricLookup) -> Drawing:
    """Draw accuracy against confidence, in ten bins of confidence."""
    curves = {model: lookup.reliability(model) for model in lookup.models}
    curves = {model: curve for model, curve in curves.items() if curve}

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(curves), 270, left=52)
        for ax, (model, curve) in zip(axes, curves.items(), strict=True):
            _calibration_panel(ax, curve, colour_of(inputs, model))
            error = lookup.value(model, "ece")
            titled(ax, label(model, 22), "" if error is None else f"ECE {decimal(error, 3)}")
        return figure

    rows = [
        (model, point["subset"], percent(point["confidence"]), percent(point["value"]),
         between(point["low"], point["high"]), point["n"])
        for model, curve in curves.items()
        for point in curve
    ]  # fmt: skip
    return Drawing(
        "calibration",
        "Reliability diagram",
        "Confidence is the sigmoid of the margin’s size. On the diagonal confidence and accuracy "
        "agree; below it the reward is over-confident. Bigger dots hold more pairs.",
        "Reliability diagram of " + ", ".join(curves),
        draw,
        Numbers(("model", "bin", "confidence", "accuracy", "95 % CI", "pairs"), rows),
        width=WIDE if len(curves) > 1 else HALF,
    )


def _calibration_panel(ax: Axes, curve: Sequence[Row], colour: str) -> None:
    x = [point["confidence"] for point in curve]
    y = [point["value"] for point in curve]
    ax.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    most = max(point["n"] for point in curve)
    for point in curve:
        if point["low"] is not None:
            ax.plot([point["confidence"]] * 2, [point["low"], point["high"]], color=colour,
                    alpha=0.35, linewidth=2.4, solid_capstyle="round")  # fmt: skip
    ax.plot(x, y, color=colour, linewidth=1.4, alpha=0.6)
    sizes = [14 + 80 * point["n"] / most for point in curve]
    ax.scatter(x, y, s=sizes, color=colour, zorder=4, linewidths=0)
    ax.set_xlim(0.48, 1.02)
    lows = [point["low"] for point in curve if point["low"] is not None]
    ax.set_ylim(max(-0.03, min(0.4, *y, *lows) - 0.04), 1.03)
    ax.xaxis.set_major_formatter(PERCENT)
    ax.yaxis.set_major_formatter(PERCENT)
    ax.xaxis.set_major_locator(ticks(5))
    ax.set_xlabel("confidence")
    ax.set_ylabel("accuracy")
