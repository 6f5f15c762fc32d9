"""Rendering of a drawing: SVG for the page in two widths, and an SVG and a PNG file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from rmplug_report.inputs._wording import RAISED, Cuts, noted_cuts

from ._inline_svg import inlined
from ._palette import LIGHT

WIDE, HALF, NARROW = 900, 410, 340
"""Pixels of the page's column, of half of it, and of a phone's."""

DPI = 144
"""Two pixels of a PNG for each of the page's."""

STYLE: dict[str, Any] = {
    "figure.dpi": 72,
    "figure.facecolor": LIGHT["card"],
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": LIGHT["line"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": 11.5,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 1,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "path.simplify": False,
}


@dataclass(frozen=True)
class Numbers:
    """A table of what a figure shows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn at any width (pixels)."""

    name: str
    title: str
    note: str
    alt: str
    draw: Callable[[int], Figure]
    numbers: Numbers | None = None
    width: int = WIDE
    scrolls: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)
    """Texts of marks for those who point at them, by the id that a mark is drawn with."""


@dataclass(frozen=True)
class Shown:
    """A figure ready for the page."""

    drawing: Drawing
    svg: Markup
    narrow: Markup | None


@dataclass(frozen=True)
class Drawn:
    """A figure as SVG and PNG, and the labels in it that were cut."""

    svg: str
    png: bytes
    cuts: Cuts


def save(drawing: Drawing, directory: Path) -> Drawn:
    """Write the figure as SVG and as PNG; return it as it was drawn."""
    drawn = _draw(drawing, drawing.width, png=True)
    (directory / f"{drawing.name}.svg").write_bytes(drawn.svg.encode())
    (directory / f"{drawing.name}.png").write_bytes(drawn.png)
    return drawn


def render(drawing: Drawing, directory: Path) -> Shown:
    """Return the figure for the page; write its files to ``directory``."""
    wide = _for_page(save(drawing, directory), drawing, "wide")
    if drawing.scrolls:
        return Shown(drawing, wide, None)
    return Shown(drawing, wide, _for_page(_draw(drawing, NARROW), drawing, "narrow"))


def _draw(drawing: Drawing, width: int, png: bool = False) -> Drawn:
    style: Any = {**STYLE, "svg.hashsalt": f"{drawing.name}-{width}"}
    with warnings.catch_warnings(), matplotlib.rc_context(style), noted_cuts() as cuts:
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure = drawing.draw(width)
        for ax in figure.axes:
            _finish_axes(ax)
        vector = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(vector, format="svg", metadata=nothing)
        pixels = _pixels(figure) if png else b""
    return Drawn(vector.getvalue(), pixels, cuts)


def _pixels(figure: Figure) -> bytes:
    """Draw a figure as PNG. Without the alpha channel, which is opaque everywhere, and with light
    compression, it is written in less than half of the time, to a file that is not much larger."""
    figure.set_dpi(DPI)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    file = io.BytesIO()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.save(file, "png", dpi=(DPI, DPI), compress_level=1)
    return file.getvalue()


class _PowerOfTen(ScalarFormatter):
    """Numbers of an axis, with the power of ten that they share as ``× 10⁻⁵``."""

    def get_offset(self) -> str:
        bare = super().get_offset()  # 1e−5
        return f"× 10{bare.removeprefix('1e').translate(RAISED)}" if bare else ""


def _finish_axes(ax: Axes) -> None:
    """Replace the usual numbers of both axes, whose powers are bare (``1e−5``), and give places to
    names and titles where these are known: for each that it looks for, matplotlib lays out the
    numbers of an axis once more."""
    for axis in (ax.xaxis, ax.yaxis):
        if type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(_PowerOfTen())
        if not axis.get_label_text():
            axis.set_label_coords(0, 0)
    left, centre, right = (ax.get_title(where) for where in ("left", "center", "right"))
    if (left or right) and not centre and _is_free_above(ax):
        ax.set_title(centre, loc="center", y=1)  # the place holds for the other titles, too


def _is_free_above(ax: Axes) -> bool:
    """Check that no numbers, and no power of ten, stand above a plot, where its titles are."""
    x, y = ax.xaxis, ax.yaxis
    if (x.get_ticks_position(), x.get_label_position()) != ("bottom", "bottom"):
        return False
    numbers = y.get_major_formatter()
    numbers.format_ticks(list(y.get_majorticklocs()))
    return not numbers.get_offset()


def _for_page(drawn: Drawn, drawing: Drawing, where: str) -> Markup:
    prefix = f"{drawing.name}-{where}"
    return inlined(drawn.svg, prefix, drawing.alt, drawing.hints, drawing.scrolls, drawn.cuts)
