"""Figures of one column against another: points or hexagons with a trend, or dots by category."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._plotted import OTHERS, Plotted, Texts
from rmplug_report.inputs._trends import Correlation, Part
from rmplug_report.inputs._wording import count, decimal, interval, label, number

from ._interval_dots import Dot, dots, lines_of_text, room
from ._palette import LIGHT
from ._panels import CARD, INK, MUTED, cloud, limits, one_panel, outside, ticks
from ._render import HALF, Drawing, Numbers

MARKS = (("o", "m1"), ("^", "m2"), ("s", "m3"), ("D", "m4"), ("v", "m5"), ("P", "m6"))
"""Shape and colour of each subset; the others are small grey crosses."""
MANY = 500
"""From so many rows on, hexagons stand for points."""


def scatter(file: str, plot: Plotted, whole: Correlation, parts: Sequence[Part]) -> Drawing:
    """Draw a target by numbers: its rows, and the mean of each part with its band."""
    assert plot.x is not None
    x, y = plot.x, plot.y
    across, up = limits(x), limits(y)
    parted = plot.subsets is not None and len(y) < MANY
    names = _subset_names(plot.subsets) if parted and plot.subsets is not None else []

    def draw(width: int) -> Figure:
        rows_of_key = -(-len(names) // 2)
        figure, ax = one_panel(width, 300 + 18 * rows_of_key, 54, bottom=46 + 18 * rows_of_key)
        inside = (x >= across[0]) & (x <= across[1]) & (y >= up[0]) & (y <= up[1])
        ax.set_xlim(*across)
        ax.set_ylim(*up)
        if names and plot.subsets is not None:
            for name, (shape, colour, size) in zip(names, _marks(names), strict=True):
                rows = inside & (plot.subsets == name)
                ax.scatter(x[rows], y[rows], s=size, marker=shape, color=colour, alpha=0.6,
                           linewidths=0.8 if shape == "x" else 0)  # fmt: skip
            _key(ax, names, width)
        elif inside.any():
            cloud(ax, x[inside], y[inside], LIGHT["m1"])
        _trend(ax, parts)
        ax.set_xlim(*across)
        ax.set_ylim(*up)
        ax.set_xlabel(label(plot.by, 44))
        ax.set_ylabel(label(plot.target, 34))
        ax.xaxis.set_major_locator(ticks(5))
        ax.yaxis.set_major_locator(ticks(5))
        return figure

    hidden = max(outside(x, across), outside(y, up))
    return Drawing(
        file,
        f"{label(plot.target)} by {label(plot.by)}",
        " ".join([_correlated(whole), *_note(plot, parts, hidden)]),
        f"{label(plot.target)} against {label(plot.by)}. {_correlated(whole)}",
        draw,
        _part_numbers(plot, parts) if parts else None,
        width=HALF,
    )


def _correlated(one: Correlation) -> str:
    if one.value != one.value:
        return f"No rank correlation: one of the two never varies; {count(one.rows, 'row')}."
    bounds = interval(one.low, one.high, 1)
    aside = f" ({bounds})" if bounds else " (no interval: fewer than two prompts)"
    rows, groups = count(one.rows, "row"), count(one.groups, "prompt")
    return f"Spearman {decimal(one.value, 2)}{aside}; {rows} of {groups}."


def _note(plot: Plotted, parts: Sequence[Part], hidden: int) -> list[str]:
    notes = []
    if parts:
        notes.append(f"Line: mean in {len(parts)} parts; band: its 95 % CI, part by part.")
    if plot.x is not None and plot.subsets is not None and len(plot.y) >= MANY:
        notes.append("Subsets are in the table of rank correlations.")
    if hidden:
        notes.append(f"{count(hidden, 'row')} at the outer 0.5 % not drawn.")
    if plot.joined > len(plot.y):
        notes.append(f"{count(plot.joined - len(plot.y), 'row')} without a value left out.")
    return notes


def _subset_names(subsets: Texts) -> list[str]:
    names = sorted(set(subsets.tolist()) - {OTHERS})
    return [*names, *([OTHERS] if OTHERS in subsets else [])]


def _marks(names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return shape, colour and size of the points of each subset."""
    shapes = [(shape, LIGHT[colour], 26.0) for shape, colour in MARKS[: len(names)]]
    return [
        ("x", MUTED, 14.0) if name == OTHERS else shapes[index] for index, name in enumerate(names)
    ]


def _key(ax: Axes, names: Sequence[str], width: int) -> None:
    """Write the legend below the plot, two subsets in a line."""
    shown = [label(name, 22 if width > 400 else 18) for name in names]
    ax.legend(shown, ncols=2, frameon=False, loc="upper left", bbox_to_anchor=(-0.08, -0.17),
              fontsize=10.5, labelcolor=MUTED, handletextpad=0.3, columnspacing=1.2,
              borderaxespad=0)  # fmt: skip


def _trend(ax: Axes, parts: Sequence[Part]) -> None:
    if not parts:
        return
    x, y = [one.x for one in parts], [one.value for one in parts]
    bounded = [one for one in parts if one.low is not None and one.high is not None]
    ends = [one.x for one in bounded]
    lows = [one.low for one in bounded if one.low is not None]
    highs = [one.high for one in bounded if one.high is not None]
    ax.fill_between(ends, lows, highs, color=INK, alpha=0.16, linewidth=0, zorder=2.5)
    ax.plot(x, y, color=CARD, linewidth=5, zorder=3)
    ax.plot(x, y, color=INK, linewidth=2, marker="o", markersize=3.5, zorder=3)


def _part_numbers(plot: Plotted, parts: Sequence[Part]) -> Numbers:
    rows = [
        (number(one.lowest), number(one.highest), one.value, one.low, one.high, one.rows)
        for one in parts
    ]
    columns = (f"{label(plot.by, 40)} from", "to", "mean", "low", "high", "n")
    return Numbers(columns, rows)


def categories(file: str, plot: Plotted, parts: Sequence[Part]) -> Drawing:
    """Draw the mean of a target in each category, with its interval."""
    names = [one.name for one in parts]
    at = [-float(i) for i in range(len(parts))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 56 + 27 * len(parts), left, top=8, bottom=42, right=20)
        dots(ax, at, [Dot(one.value, one.low, one.high, LIGHT["m1"]) for one in parts])
        lines_of_text(ax, at, names, letters)
        ax.set_ylim(0.4 - len(parts), 0.6)
        ax.set_xlabel(f"mean of {label(plot.target, 40)}")
        ax.xaxis.set_major_locator(ticks(5))
        return figure

    title = f"{label(plot.target)} by {label(plot.by)}"
    spoken = "; ".join(f"{one.name} {number(one.value)}" for one in parts[:8])
    groups = count(len(set(plot.groups.tolist())), "prompt")
    note = f"Mean of each value, bars are 95 % CIs; {count(len(plot.y), 'row')} of {groups}."
    note = " ".join([note, *_note(plot, [], 0)])
    rows = [(one.name, one.value, one.low, one.high, one.rows) for one in parts]
    columns = (label(plot.by, 40), "mean", "low", "high", "n")
    alt = label(f"{title}: {spoken}", 600)
    return Drawing(file, title, note, alt, draw, Numbers(columns, rows), width=HALF)
