"""Figures of dots with 95 % intervals: accuracy, importance, coefficients; and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._measured import Measured
from rmplug_report.inputs._wording import between, listed, name, percent

from ._distributions import colour_of
from ._palette import LIGHT
from ._panels import CARD, INK, LINE, MUTED, many_panels, one_panel, ticks, titled, zero_line
from ._render import HALF, WIDE, Drawing, Numbers

PERCENT = FuncFormatter(lambda value, _: f"{value * 100:.0f}\N{NO-BREAK SPACE}%")
MOST_SUBSETS = 40


@dataclass(frozen=True)
class Dot:
    """A value with its interval on one line of a figure."""

    value: float
    low: float | None
    high: float | None
    colour: str
    hollow: bool = False


def dots(ax: Axes, at: Sequence[float], shown: Sequence[Dot]) -> None:
    for y, dot in zip(at, shown, strict=True):
        if dot.low is not None and dot.high is not None:
            ax.plot([dot.low, dot.high], [y, y], color=dot.colour, linewidth=2.6, alpha=0.45,
                    solid_capstyle="round", zorder=3)  # fmt: skip
        ax.plot([dot.value], [y], "o", markersize=7.5, color=dot.colour, zorder=4,
                markerfacecolor=CARD if dot.hollow else dot.colour,
                markeredgewidth=1.8)  # fmt: skip


def lines_of_text(ax: Axes, at: Sequence[float], names: Sequence[str], width: int) -> None:
    """A name at the left of each line."""
    ax.set_yticks(list(at), [name(one, width) for one in names])
    ax.tick_params(axis="y", labelcolor=INK, pad=10)
    ax.grid(visible=False, axis="y")


def room(names: Sequence[str], width: int) -> tuple[float, int]:
    """Pixels for names at the left, and how many letters fit."""
    longest = max((len(one) for one in names), default=1)
    pixels = min(longest * 7.2 + 16, width * (0.36 if width > 500 else 0.42))
    return pixels, max(8, int((pixels - 12) / 7.0))


def accuracy(inputs: Inputs, measured: Measured) -> Drawing:
    """Accuracy over all pairs: every reward beside every rule."""
    rows = sorted(measured.accuracies("all"), key=lambda row: -row["value"])
    names = [str(row["model"]) for row in rows]
    at = [-float(i) for i in range(len(rows))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 38 + 32 * len(rows), left, right=72, top=8, bottom=26)
        dots(ax, at, [_dot(inputs, row) for row in rows])
        _accuracy_axis(ax, rows)
        lines_of_text(ax, at, names, letters)
        for y, row in zip(at, rows, strict=True):
            ax.text(1.02, y, percent(row["value"]), transform=ax.get_yaxis_transform(), va="center",
                    weight="bold" if row["kind"] == "model" else "normal", color=INK)  # fmt: skip
        return figure

    return Drawing(
        "accuracy",
        "Right on how many pairs?",
        f"Filled: rewards. Hollow: simple rules{_learnt(names)}. A tie counts "
        "one half; bars are 95 % intervals from resampling prompts.",
        "Accuracy: " + "; ".join(f"{row['model']} {percent(row['value'])}" for row in rows),
        draw,
        _numbers(rows, ("model", "kind")),
    )


def _learnt(names: Sequence[str]) -> str:
    """Which baselines learn from texts, and so may know more than the look of a response."""
    known = [one for one in ("first-character", "n-gram") if one in names]
    return f"; {listed(known)} learnt from the other prompts" if known else ""


def _dot(inputs: Inputs, row: Row) -> Dot:
    rule = row.get("kind") == "baseline"
    colour = MUTED if rule else colour_of(inputs, str(row["model"]))
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=rule)


def _accuracy_axis(ax: Axes, rows: Sequence[Row]) -> None:
    ends = [end for row in rows for end in (row["value"], row.get("low"), row.get("high"))]
    known = [end for end in ends if end is not None]
    low, high = min([0.45, *known]), max([0.55, *known])
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
    return Numbers((*keys, "accuracy", "95 % interval", "pairs"), body)


def accuracy_by_subset(inputs: Inputs, measured: Measured) -> Drawing:
    """Accuracy in each subset, rewards and the length rule on the same line."""
    subsets = measured.subsets[:MOST_SUBSETS]
    rows = {subset: _of_subset(measured, subset) for subset in subsets}
    models = max((sum(r["kind"] == "model" for r in found) for found in rows.values()), default=1)
    height = max(26, 11 * models + 12)

    def draw(width: int) -> Figure:
        left, letters = room(subsets, width)
        figure, ax = one_panel(width, 38 + height * len(subsets), left, top=8, bottom=26)
        for place, subset in enumerate(subsets):
            _subset_line(ax, inputs, -place, rows[subset], models)
            if place:
                ax.axhline(0.5 - place, color=LINE, linewidth=0.6)
        ax.set_ylim(0.5 - len(subsets), 0.5)
        _accuracy_axis(ax, [row for found in rows.values() for row in found])
        lines_of_text(ax, [-float(i) for i in range(len(subsets))], subsets, letters)
        return figure

    flat = [row for subset in measured.subsets for row in measured.accuracies(subset)]
    more = len(measured.subsets) - len(subsets)
    return Drawing(
        "accuracy-by-subset",
        "Subset by subset",
        "Sorted by size. The upright mark is “choose the longer response” on the same pairs."
        + (f" The {more} smallest subsets are only in the numbers." if more else ""),
        f"Accuracy with intervals in {len(subsets)} subsets, beside choosing the longer response.",
        draw,
        _numbers(flat, ("subset", "model")),
    )


def _of_subset(measured: Measured, subset: str) -> list[Row]:
    found = measured.accuracies(subset)
    return [row for row in found if row["kind"] == "model" or row["model"] == "longer"]


def _subset_line(ax: Axes, inputs: Inputs, y: float, rows: Sequence[Row], models: int) -> None:
    rewards = [row for row in rows if row["kind"] == "model"]
    offsets = [y + 0.5 - (i + 1) / (models + 1) for i in range(len(rewards))]
    dots(ax, offsets, [_dot(inputs, row) for row in rewards])
    for row in rows:
        if row["kind"] == "baseline":
            ax.plot([row["value"]] * 2, [y - 0.32, y + 0.32], color=MUTED, linewidth=2.2,
                    solid_capstyle="butt", zorder=2)  # fmt: skip


def features(title: str, file: str, table: Sequence[Row], value: str, note: str) -> Drawing:
    """Importance or coefficients of the features that matter most."""
    rows = sorted(table, key=lambda row: -abs(row[value]))[:15]
    names, step = without_step([str(row["feature"]) for row in rows])
    at = [-float(i) for i in range(len(rows))]
    signed = any(row[value] < 0 for row in rows) and value == "coefficient"

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 56 + 27 * len(rows), left, top=8, bottom=40, right=20)
        colours = [LIGHT["m2"] if row[value] < 0 and signed else LIGHT["m1"] for row in rows]
        found = zip(rows, colours, strict=True)
        dots(ax, at, [Dot(r[value], r.get("low"), r.get("high"), c) for r, c in found])
        lines_of_text(ax, at, names, letters)
        zero_line(ax)
        ax.set_xlabel(value)
        ax.xaxis.set_major_locator(ticks(5))
        return figure

    more = f" The {len(table) - 15} weakest are only in metrics.json." if len(table) > 15 else ""
    body = [(row["feature"], row[value], row.get("low"), row.get("high")) for row in rows]
    return Drawing(
        file,
        title,
        note + step + more,
        f"{title}: " + "; ".join(f"{row['feature']} {row[value]:.3g}" for row in rows[:5]),
        draw,
        Numbers(("feature", value, "low", "high"), body),
        wide=760,
    )


def without_step(names: Sequence[str]) -> tuple[list[str], str]:
    """The names without the step they all come from, and a sentence that says which it is."""
    steps = {one.split(".")[0] for one in names if "." in one}
    if len(steps) != 1 or not all("." in one for one in names):
        return list(names), ""
    (step,) = steps
    return [one.removeprefix(f"{step}.") for one in names], f" All features are columns of {step}."


def dependence(fit: str, file: str, curves: Sequence[tuple[str, Any, Any]]) -> Drawing:
    """What the fit predicts as one feature moves."""

    names, step = without_step([feature for feature, _, _ in curves])

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(curves), 176, left=46, bottom=30)
        ends = [float(v) for _, _, y in curves for v in (np.min(y), np.max(y))]
        air = (max(ends) - min(ends)) * 0.08 or 0.1
        for ax, feature, (_, x, y) in zip(axes, names, curves, strict=True):
            ax.plot(x, y, color=LIGHT["m1"], linewidth=2.2)
            ax.set_ylim(min(ends) - air, max(ends) + air)
            titled(ax, name(feature, 27))
            ax.xaxis.set_major_locator(ticks(4))
            ax.yaxis.set_major_locator(ticks(4))
        return figure

    return Drawing(
        file,
        f"As one feature moves, what {fit} predicts",
        "Mean prediction with that feature set to each value and all others as they are; "
        "the same vertical scale in every panel." + step,
        "Partial dependence of the prediction on " + ", ".join(f for f, _, _ in curves),
        draw,
    )


def calibration(inputs: Inputs, measured: Measured) -> Drawing:
    """How often a reward is right when it is so sure."""
    curves = {model: measured.reliability(model) for model in measured.models}
    curves = {model: curve for model, curve in curves.items() if curve}

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(curves), 270, left=52)
        for ax, (model, curve) in zip(axes, curves.items(), strict=True):
            _calibration_panel(ax, curve, colour_of(inputs, model))
            error = measured.value(model, "ece")
            titled(ax, name(model, 22), "" if error is None else f"ECE {error:.3f}")
        return figure

    rows = [
        (model, point["subset"], percent(point["confidence"]), percent(point["value"]),
         between(point["low"], point["high"]), point["n"])
        for model, curve in curves.items()
        for point in curve
    ]  # fmt: skip
    return Drawing(
        "calibration",
        "When it is this sure, how often is it right?",
        "Confidence is the sigmoid of the margin’s size. On the diagonal confidence and accuracy "
        "agree; below it the reward is surer than it should be. Bigger dots hold more pairs.",
        "Reliability diagram of " + ", ".join(curves),
        draw,
        Numbers(("model", "bin", "confidence", "accuracy", "95 % interval", "pairs"), rows),
        wide=WIDE if len(curves) > 1 else HALF,
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
