"""Axes laid out in pixels, and marks that several figures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rmplug_report.inputs._contributions import Floats

from ._palette import LIGHT

INK, MUTED, LINE, GRID, CARD = (LIGHT[n] for n in ("ink", "muted", "line", "grid", "card"))


def blank(width: int, height: float) -> Figure:
    """Return a figure of so many pixels."""
    return Figure(figsize=(width / 72, height / 72))


def one_panel(
    width: int,
    height: float,
    left: float = 46,
    right: float = 12,
    top: float = 12,
    bottom: float = 44,
) -> tuple[Figure, Axes]:
    """Return one plot with margins in pixels."""
    figure = blank(width, height)
    box = (
        left / width,
        bottom / height,
        (width - left - right) / width,
        (height - top - bottom) / height,
    )
    return figure, figure.add_axes(box)


def many_panels(
    width: int,
    count: int,
    height: float = 210,
    most: int = 3,
    left: float = 40,
    bottom: float = 46,
    foot: float = 0,
) -> tuple[Figure, list[Axes]]:
    """Return small multiples: as many columns as fit, ``height`` pixels a row, and ``foot`` pixels
    left free below all."""
    columns = max(1, min(most, count, width // 230))
    rows = -(-count // columns)
    whole = rows * height + foot
    figure = blank(width, whole)
    each, top = width / columns, 34
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        x = (column * each + left) / width
        y = 1 - ((row + 1) * height - bottom) / whole
        size = ((each - left - 14) / width, (height - top - bottom) / whole)
        axes.append(figure.add_axes((x, y, *size)))
    return figure, axes


def titled(ax: Axes, text: str, aside: str = "") -> None:
    """Write a panel's name, and a number or two at its right."""
    ax.set_title(text, color=INK)
    if aside:
        ax.set_title(aside, loc="right", color=MUTED, fontweight="normal", fontsize=11.5)


def ticks(most: int) -> MaxNLocator:
    """Set at most so many steps, each 1, 2 or 5 of a power of ten."""
    return MaxNLocator(most, steps=[1, 2, 5, 10])


def zero_line(ax: Axes, upright: bool = True) -> None:
    (ax.axvline if upright else ax.axhline)(0, color=MUTED, linewidth=1, zorder=2)


def cloud(ax: Axes, x: Floats, y: Floats, colour: str) -> None:
    """Draw points where they are few, hexagons coloured by count where they are many."""
    if len(x) < 500:
        ax.scatter(x, y, s=14, color=colour, alpha=0.45, linewidths=0)
        return
    wide = max(12, int(ax.get_position().width * float(ax.figure.get_size_inches()[0]) * 72 / 13))  # type: ignore[union-attr]
    tall = max(8, int(ax.get_position().height * float(ax.figure.get_size_inches()[1]) * 72 / 15))  # type: ignore[union-attr]
    hexes = ax.hexbin(x, y, gridsize=(wide, tall), mincnt=1, linewidths=0.4)
    counts = np.asarray(hexes.get_array(), dtype=np.float64)
    share = np.log1p(counts) / np.log1p(counts.max())
    levels = np.round(np.clip(0.08 + 0.82 * share, 0, 1) * 12) / 12
    hexes.set_array(None)
    hexes.set_facecolor([(*to_rgb(colour), level) for level in levels])
    hexes.set_edgecolor("none")


def trend(ax: Axes, x: Floats, y: Floats) -> None:
    """Compute the mean of ``y`` in up to twelve parts of ``x`` with equally many points."""
    parts = [part for part in np.array_split(np.argsort(x, kind="stable"), 12) if len(part) >= 8]
    if len(parts) < 3:
        return
    ax.plot([x[p].mean() for p in parts], [y[p].mean() for p in parts], color=CARD, linewidth=5)
    ax.plot(
        [x[p].mean() for p in parts], [y[p].mean() for p in parts], color=INK, linewidth=2,
        marker="o", markersize=3.5,
    )  # fmt: skip


def limits(values: Floats, share: float = 0.005) -> tuple[float, float]:
    """Return bounds that leave out a share of the values at either end, with a small margin."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return (-1.0, 1.0)
    low, high = np.quantile(finite, (share, 1 - share))
    air = (high - low) * 0.04 or 0.5
    return float(low - air), float(high + air)


def outside(values: Floats, bounds: Sequence[float]) -> int:
    """Count the values that a plot with these bounds does not show."""
    return int(((values < bounds[0]) | (values > bounds[1])).sum())
