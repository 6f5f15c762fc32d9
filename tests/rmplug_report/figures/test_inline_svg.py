"""A figure inside the page: ids of its own, the page's colours, and labels left as they are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from rmplug_report.figures._interval_dots import lines_of_text
from rmplug_report.figures._palette import LIGHT
from rmplug_report.figures._render import Drawing, render
from rmplug_report.inputs._wording import label

LABELS = (
    'id="axes_1"',
    f'{LIGHT["m1"]} url(#clip) href="#mark"',
    'font-family: serif; width="9pt" height="9pt"',
    "<style>a</style> & <metadata/>",
)


def draw(width):
    figure = Figure(figsize=(width / 72, 3))
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    ax.plot([0, 1, 2], [2, 0, 1], "o-", color=LIGHT["m1"])
    ax.bar([0], [1], color=LIGHT["m2"], gid="cell-0-0")
    ax.bar([1], [1], color=LIGHT["m2"], hatch="//", gid="cell-0-1")
    for place, text in enumerate(LABELS):
        ax.text(0, place / 2, text)
    return figure


def shown(folder, name="one", **more):
    folder.mkdir(exist_ok=True)
    return render(Drawing(name, "t", "n", 'a "quoted" <alt>', draw, **more), folder)


def parsed(svg):
    return ElementTree.fromstring(str(svg))


def test_every_reference_has_its_id_and_ids_are_the_figures_own(tmp_path):
    one, other = shown(tmp_path, "one"), shown(tmp_path, "other")
    drawn = [one.svg, one.narrow, other.svg, other.narrow]
    found = [re.findall(r'\bid="([^"]+)"', re.sub(r">[^<]*<", "><", str(svg))) for svg in drawn]
    every = [name for names in found for name in names]
    assert len(every) == len(set(every)) > 4
    for svg, names in zip(drawn, found, strict=True):
        elements = list(parsed(svg).iter())
        values = [value for element in elements for value in element.attrib.values()]
        used = {one for value in values for one in re.findall(r"url\(#([^)]+)\)", value)}
        used |= {value[1:] for value in values if re.fullmatch("#[a-z].*", value)}
        assert used and used <= set(names)


def test_colours_and_font_are_the_pages_and_no_size_is_fixed(tmp_path):
    root = parsed(shown(tmp_path).svg)
    styles = " ".join(element.get("style", "") for element in root.iter())
    assert "var(--m1)" in styles and "var(--m2)" in styles
    assert not [colour for colour in LIGHT.values() if colour in styles]
    assert "font-family" not in styles
    assert root.get("width") is root.get("height") is None
    assert root.get("viewBox") and root.get("role") == "img"
    assert root.get("aria-label") == 'a "quoted" <alt>'
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"style", "metadata"} and "text" in tags


def test_labels_that_look_like_markup_are_left_as_they_are(tmp_path):
    texts = [element.text for element in parsed(shown(tmp_path).svg).iter() if element.text]
    assert set(LABELS) <= {text.strip() for text in texts}


def test_marks_with_hints_can_be_reached_and_only_the_first_by_tab(tmp_path):
    hints = {"cell-0-0": "5 % <of> all", "cell-0-1": "none"}
    root = parsed(shown(tmp_path, hints=hints).svg)
    marks = [element for element in root.iter() if element.get("data-mark")]
    assert [(one.get("data-hint"), one.get("tabindex")) for one in marks] == [
        ("5 % <of> all", "0"), ("none", "-1"),
    ]  # fmt: skip
    assert root.get("role") == "group"


@pytest.mark.parametrize("scrolls", [True, False])
def test_only_a_figure_that_scrolls_has_a_least_width(tmp_path, scrolls):
    found = shown(tmp_path, scrolls=scrolls)
    assert ("min-width: 702px" in parsed(found.svg).get("style", "")) == scrolls
    assert (found.narrow is None) == scrolls


def test_an_axis_of_small_numbers_tells_its_power_of_ten(tmp_path):
    def small(width):
        figure = Figure(figsize=(width / 72, 3))
        figure.add_axes((0.1, 0.1, 0.8, 0.8)).plot([0, 3e-5], [0, 20])
        return figure

    one = render(Drawing("small", "t", "n", "alt", small), tmp_path)
    texts = [element.text.strip() for element in parsed(one.svg).iter() if element.text]
    assert texts.count("× 10⁻⁵") == 1 and "3.0" in texts and "1e−5" not in texts


def test_a_label_that_was_cut_has_the_whole_text_as_its_title(tmp_path):
    names = ["a_name_that_is_much_too_long_for_its_place_in_a_figure", "short"]

    def named(width):
        figure = Figure(figsize=(width / 72, 3))
        ax = figure.add_axes((0.5, 0.1, 0.4, 0.8))
        ax.set_title(f"{label(names[0], 11)} − {label(names[0], 9)}")
        lines_of_text(ax, [0.0, 1.0], names, 16)
        return figure

    one = render(Drawing("named", "t", "n", "alt", named), tmp_path)
    texts = [element for element in parsed(one.svg).iter() if element.tag.endswith("}text")]
    titles = {text.text: [title.text for title in text] for text in texts}
    assert titles["a_nam…igure − a_na…gure"] == [f"{names[0]} − {names[0]}"]
    assert titles["a_name_that_is_"] == titles["short"] == []
    assert titles["…ace_in_a_figure"] == [names[0]]
    assert "title" not in (tmp_path / "named.svg").read_text(encoding="utf-8").partition("<g ")[2]
