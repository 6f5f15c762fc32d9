"""Figures of features in a fit: importance, coefficients, partial dependence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Row
from rmplug_report.inputs._wording import label, left_out

from ._interval_dots import Dot, dots, lines_of_text, room
from ._palette import LIGHT
from ._panels import many_panels, one_panel, ticks, titled, zero_line
from ._render import Drawing, Numbers


def features(title: str, file: str, table: Sequence[Row], value: str, note: str) -> Drawing:
    """Draw importance or coefficients of the most important features."""
    rows = sorted(table, key=lambda row: -abs(row[value]))[:15]
    names, step = without_step([str(row["feature"]) for row in rows])
    at = [-float(i) for i in range(len(rows))]
    signed = any(row[value] < 0 for row in rows) and value == "coefficient"

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 56 + 27 * len(rows), left, top=8, bottom=40, right=20)
        colours = [LIGHT["m2"] if row[value] < 0 and signed else LIGHT["m1"] for row in rows]
        coloured = zip(rows, colours, strict=True)
        dots(ax, at, [Dot(r[value], r.get("low"), r.get("high"), c) for r, c in coloured])
        lines_of_text(ax, at, names, letters)
        ax.set_ylim(0.4 - len(rows), 0.6)
        zero_line(ax)
        ax.set_xlabel(value)
        ax.xaxis.set_major_locator(ticks(5))
        return figure

    left = len(table) - len(rows)
    more = "".join(f" {one}" for one in left_out(left, "weaker feature"))
    body = [(row["feature"], row[value], row.get("low"), row.get("high")) for row in rows]
    return Drawing(
        file,
        title,
        note + step + more,
        f"{title}: " + "; ".join(f"{row['feature']} {row[value]:.3g}" for row in rows[:5]),
        draw,
        Numbers(("feature", value, "low", "high"), body),
        width=760,
    )


def without_step(names: Sequence[str]) -> tuple[list[str], str]:
    """Return the names without the step they have in common, and a sentence with that step."""
    steps = {one.split(".")[0] for one in names if "." in one}
    if len(steps) != 1 or not all("." in one for one in names):
        return list(names), ""
    (step,) = steps
    return [one.removeprefix(f"{step}.") for one in names], f" All features are columns of {step}."


def dependence(fit: str, file: str, curves: Sequence[tuple[str, Any, Any]]) -> Drawing:
    """Draw partial dependence: the mean prediction with one feature set to each value."""

    names, step = without_step([feature for feature, _, _ in curves])

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(curves), 176, left=46, bottom=30)
        ends = [float(v) for _, _, y in curves for v in (np.min(y), np.max(y))]
        air = (max(ends) - min(ends)) * 0.08 or 0.1
        for ax, feature, (_, x, y) in zip(axes, names, curves, strict=True):
            ax.plot(x, y, color=LIGHT["m1"], linewidth=2.2)
            ax.set_ylim(min(ends) - air, max(ends) + air)
            titled(ax, label(feature, 27))
            ax.xaxis.set_major_locator(ticks(4))
            ax.yaxis.set_major_locator(ticks(4))
        return figure

    return Drawing(
        file,
        f"Partial dependence in {fit}",
        "Mean prediction with that feature set to each value and all others as they are; "
        "the same vertical scale in every panel." + step,
        "Partial dependence of the prediction on " + ", ".join(f for f, _, _ in curves),
        draw,
    )
