"""Dots with their 95 % CIs, one on each line of a figure, and names at the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._wording import two_lines

from ._palette import colour_of
from ._panels import CARD, INK, MUTED

TEXT_HEIGHT = 12
"""Pixels from one line of a name to the next."""
PERCENT = FuncFormatter(lambda value, _: f"{value * 100:.0f}\N{NO-BREAK SPACE}%")


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
    """Write a name at the left of each line, in two lines of text where it is long."""
    ax.set_yticks(list(at), [])
    ax.grid(visible=False, axis="y")
    for y, name in zip(at, names, strict=True):
        lines = two_lines(name, width).split("\n")
        for place, line in enumerate(lines):
            # texts of one line each: of several in one text, SVG knows the left ends only
            below = TEXT_HEIGHT * ((len(lines) - 1) / 2 - place)
            ax.annotate(line, (0, y), (-10, below), ("axes fraction", "data"), "offset points",
                        ha="right", va="center", color=INK, fontsize=11)  # fmt: skip


def room(names: Sequence[str], width: int) -> tuple[float, int]:
    """Return the pixels for names at the left, and the number of letters that fit."""
    longest = max((len(one) for one in names), default=1)
    pixels = min(longest * 7.2 + 16, width * (0.36 if width > 500 else 0.42))
    return pixels, max(8, int((pixels - 12) / 7.0))


def row_dot(inputs: Inputs, row: Row) -> Dot:
    """Return a row of metrics as a dot: hollow grey for a baseline, else in its model's colour."""
    baseline = row.get("kind") == "baseline"
    colour = MUTED if baseline else colour_of(inputs, str(row.get("model") or ""))
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=baseline)


def baseline_mark(ax: Axes, y: float, row: Row, line: Any = "solid") -> None:
    """Draw a baseline's value as an upright mark across a line of the figure."""
    ax.plot([row["value"]] * 2, [y - 0.32, y + 0.32], color=MUTED, linewidth=2.2, linestyle=line,
            solid_capstyle="butt", dash_capstyle="butt", zorder=2)  # fmt: skip
