"""Figures as files: drawn with less work than matplotlib does by itself, to the same pictures."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from rmplug_report.figures._panels import one_panel, titled
from rmplug_report.figures._render import STYLE, Drawing, save


def titled_plot(largest, numbers_at="bottom", centred=""):
    def draw(width):
        figure, ax = one_panel(width, 200, top=60)
        ax.plot([0, 1], [0, largest])
        ax.set_ylabel("height")
        ax.xaxis.set_ticks_position(numbers_at)
        titled(ax, "left", "aside")
        if centred:
            ax.set_title(centred, loc="center", y=1.2)
        return figure

    return draw


@pytest.mark.parametrize(
    "draw",
    [
        titled_plot(20),
        titled_plot(3e-5),
        titled_plot(20, numbers_at="top"),
        titled_plot(20, centred="higher"),
    ],
    ids=["plain", "power of ten", "numbers above", "centred"],
)
def test_titles_and_names_of_axes_stand_where_matplotlib_places_them(tmp_path, draw):
    drawn = save(Drawing("one", "t", "n", "alt", draw, width=410), tmp_path)
    usual = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "one-410"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        draw(410).savefig(usual, format="svg", metadata=nothing)
    assert drawn.svg == usual.getvalue().replace("1e−5", "× 10⁻⁵")


def test_a_png_has_every_pixel_that_matplotlib_draws(tmp_path):
    drawn = save(Drawing("one", "t", "n", "alt", titled_plot(20), width=410), tmp_path)
    usual = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        titled_plot(20)(410).savefig(usual, format="png", dpi=144)
    with Image.open(io.BytesIO(drawn.png)) as ours, Image.open(usual) as theirs:
        assert (
            ours.mode == "RGB"
            and ours.size == (820, 400)
            and ours.info["dpi"] == theirs.info["dpi"]
        )
        assert np.array_equal(np.asarray(ours.convert("RGBA")), np.asarray(theirs))
    assert (tmp_path / "one.png").read_bytes() == drawn.png
