"""The figure of what trainings logged: which line is whose."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from report_inputs import checkpoint_of, report

from rmplug import PlanView
from rmplug_report.figures._palette import LIGHT

NOTHING = PlanView("empty", 1, [])


def drawn(folder, *names):
    """The texts, and the colours of the lines, of the curves of some trainings."""
    report([checkpoint_of(folder, name) for name in names], folder / "report", NOTHING)
    root = ElementTree.parse(folder / "report/figures/training.svg").getroot()
    colours = {
        part.partition(":")[2].strip()
        for line in root.iter("{http://www.w3.org/2000/svg}path")
        for part in line.get("style", "").split(";")
        if part.strip().startswith("stroke:")
    }
    return [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")], colours


def test_each_of_several_trainings_is_named_in_a_colour_of_its_own(tmp_path):
    texts, colours = drawn(tmp_path, "small", "large")
    named = [text for text in texts if text.startswith(("small", "large"))]
    assert named == ["small, train", "small, held-out", "large, train", "large, held-out"]
    assert {LIGHT["m1"], LIGHT["m2"]} <= colours and LIGHT["m3"] not in colours
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "Curves of loss of small, large" in page


def test_the_parts_of_one_training_are_named_without_it(tmp_path):
    texts, colours = drawn(tmp_path, "small")
    assert {"train", "held-out"} <= set(texts) and not any("small" in text for text in texts)
    assert {LIGHT["m1"], LIGHT["m2"]} <= colours
