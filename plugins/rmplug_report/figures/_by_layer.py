"""A number by layer: what probes find, and what directions do to a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Row
from rmplug_report.inputs._places import are_layers, place_name
from rmplug_report.inputs._wording import amount, label, span

from ._interval_dots import PERCENT
from ._palette import LIGHT
from ._panels import CARD, MUTED, many_panels, ticks, titled, zero_line
from ._render import Drawing, Numbers

APART = 0.16
"""The distance of series at one place, so that their intervals do not hide each other."""


@dataclass(frozen=True)
class Series:
    """The rows of one line, and the mark that tells it from others without colour."""

    name: str
    rows: Sequence[Row]
    mark: str = "o"
    hollow: bool = False

    @property
    def colour(self) -> str:
        return MUTED if self.hollow else LIGHT["m1" if self.mark != "v" else "m2"]


@dataclass(frozen=True)
class Panel:
    """The series of one target."""

    title: str
    series: Sequence[Series]

    @property
    def places(self) -> list[Row]:
        """A row of each place, in order."""
        return list({row["place"]: row for one in self.series for row in one.rows}.values())


def by_layer(file: str, title: str, note: str, panels: Sequence[Panel], share: bool) -> Drawing:
    """Draw a panel for each target: a line for each series, with the interval at each place."""
    wide = 760 if len(panels) > 1 or len(panels[0].places) > 8 else 520

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(panels), height=230, most=2, left=52, bottom=52)
        for ax, panel in zip(axes, panels, strict=True):
            _panel(ax, panel, share)
        return figure

    body = [
        (label(panel.title), place_name(row, one.rows), one.name, amount(row["value"], share),
         span(row.get("low"), row.get("high"), share), row.get("n"))
        for panel in panels
        for one in panel.series
        for row in one.rows
    ]  # fmt: skip
    where = "layer" if all(are_layers(panel.places) for panel in panels) else "place"
    told = "; ".join(
        f"{panel.title}: " + ", ".join(f"{place_name(row, one.rows)} {amount(row['value'], share)}"
                                       for one in panel.series[:1] for row in one.rows)
        for panel in panels[:4]
    )  # fmt: skip
    columns = ("of", where, "series", "value", "95 % CI", "n")
    return Drawing(
        file, title, f"{note} Bars are 95 % CIs.", f"{title}, by {where}: {told}", draw,
        Numbers(columns, body), width=wide,
    )  # fmt: skip


def _panel(ax: Axes, panel: Panel, share: bool) -> None:
    places = panel.places
    at = {row["place"]: float(index) for index, row in enumerate(places)}
    middle = (len(panel.series) - 1) / 2
    for number, one in enumerate(panel.series):
        x = [at[row["place"]] + (number - middle) * APART for row in one.rows]
        _series(ax, one, x)
    titled(ax, label(panel.title, 34))
    names = [place_name(row, places) for row in places]
    layers = are_layers(places)
    every = max(1, -(-len(names) // 13))
    ax.set_xticks(range(0, len(names), every), names[::every], rotation=0 if layers else 20)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xlabel("layer" if layers else "")
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_locator(ticks(5))
    if share:
        ax.yaxis.set_major_formatter(PERCENT)
    elif ax.get_ylim()[0] < 0 < ax.get_ylim()[1]:
        zero_line(ax, upright=False)


def _series(ax: Axes, one: Series, x: Sequence[float]) -> None:
    colour = one.colour
    ax.plot(x, [row["value"] for row in one.rows], marker=one.mark, markersize=6.5, color=colour,
            linewidth=1.4, linestyle=(0, (2, 2)) if one.hollow else "solid", zorder=4,
            markerfacecolor=CARD if one.hollow else colour, markeredgewidth=1.6)  # fmt: skip
    for at, row in zip(x, one.rows, strict=True):
        if row.get("low") is not None and row.get("high") is not None:
            ax.plot([at, at], [row["low"], row["high"]], color=colour, linewidth=2.2, alpha=0.5,
                    solid_capstyle="round", zorder=3)  # fmt: skip
