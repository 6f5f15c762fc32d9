"""Rewards by token: over the text, in words and bars, and whatever the text is."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from report_inputs import HOSTILE, pairs_of, report, reward_of

from rmplug import Features, PlanView
from rmplug_report.sections._tokens import points

NOTHING = PlanView("tokens", 1, [])
TEXTS = ["Is", " 91", " prime", "?\n", " No", ": 7", " × 13"]
REWARDS = [0.0, 0.5, 0.25, 0.25, -1.0, 1.5, 2.0]
TWO_FRAMES = "() => new Promise(on => requestAnimationFrame(() => requestAnimationFrame(on)))"


def tokens_of(rows=3, texts=TEXTS, rewards=REWARDS, start=4, side="response"):
    count = len(texts)
    columns = {
        "id": [f"r{n}" for n in range(rows)],
        f"{side}.tokens": [float(count)] * rows,
        f"{side}.start": [float(start)] * rows,
        f"{side}.ids": [list(range(count))] * rows,
        f"{side}.texts": [list(texts)] * rows,
        f"{side}.rewards": [list(rewards)] * rows,
    }
    return Features(columns, "by-token")


def shown(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<section id="tokens".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def spans(section):
    """Class, share, hint and text of each token."""
    return re.findall(
        r'<span class="(\w+)[^"]*" style="--d: ([\d.]+)" data-hint="([^"]*)"[^>]*>([^<]*)</span>',
        section,
    )


def test_each_token_tells_its_reward_and_its_change_without_colour(tmp_path):
    report([tokens_of(1)], tmp_path / "r", NOTHING)
    section = shown(tmp_path / "r")
    found = spans(section)
    assert [text for *_, text in found] == ["Is", " 91", " prime", "?↵", " No", ": 7", " × 13"]
    assert [sort for sort, *_ in found] == ["fall", "rise", "fall", "fall", "fall", "rise", "rise"]
    # beside the largest change of the response, 2.5
    assert [float(share) for _, share, *_ in found[4:]] == [0.5, 1.0, 0.2]
    assert found[4][2] == " No: −1 (−1.250)" and found[5][2] == ": 7: 1.500 (+2.500)"
    assert "a bar below a token is a rise, one above it a fall" in section
    told = json.loads((tmp_path / "r/metrics.json").read_text(encoding="utf-8"))["tokens"]
    assert told[0]["rewards"] == REWARDS


def test_the_line_has_a_corner_for_each_token_and_the_highest_reward_at_the_top(tmp_path):
    corners = points(REWARDS)
    assert len(corners) == len(REWARDS) and corners[0][0] == 0 and corners[-1][0] == 640
    heights = np.array([y for _, y in corners])
    assert heights.argmin() == 6 and heights.argmax() == 4
    report([tokens_of(1)], tmp_path / "r", NOTHING)
    svg = re.search(r"<svg viewBox.*?</svg>", shown(tmp_path / "r"), re.DOTALL)[0]
    drawn = ElementTree.fromstring(svg)
    assert len(drawn.find("polyline").get("points").split()) == len(REWARDS)
    assert float(drawn.find("line").get("x1")) == pytest.approx(640 * 4 / 6, abs=0.1)


def test_the_first_responses_are_shown_and_the_others_counted(tmp_path):
    report([tokens_of(7)], tmp_path / "r", NOTHING, responses=2)
    section = shown(tmp_path / "r")
    assert section.count("<figure") == 2 and "5 responses more are not shown here." in section
    pairs = [tokens_of(2, side="chosen"), tokens_of(2, side="rejected")]
    table = pairs[0].table
    for name in pairs[1].columns[1:]:
        table = table.append_column(name, pairs[1].table[name])
    report([Features(table, "both")], tmp_path / "both", NOTHING, responses=3)
    assert re.findall(r"<figcaption><b>(.*?)</b>", shown(tmp_path / "both")) == [
        *("r0, chosen", "r0, rejected", "r1, chosen")
    ]


def test_a_long_text_is_cut_around_the_beginning_of_its_response_and_says_so(tmp_path):
    texts, rewards = ["a"] * 1000, np.linspace(0, 1, 1000)
    report([tokens_of(1, texts, rewards, start=100)], tmp_path / "r", NOTHING)
    section = shown(tmp_path / "r")
    assert len(spans(section)) == 660
    assert "40 tokens before and 300 tokens after left out" in section


class Marks(HTMLParser):
    """The names of all elements and attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.names = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def test_hostile_tokens_are_only_text(tmp_path):
    texts = [*HOSTILE.values(), "\u202eleft", '" onfocus="x()', "\n" * 999]
    rewards = np.arange(len(texts), dtype=float)
    report([tokens_of(1, texts, rewards, start=1)], tmp_path / "r", NOTHING)
    section = shown(tmp_path / "r")
    assert len(spans(section)) == len(texts)
    marks = Marks()
    marks.feed(section)
    assert marks.tags == {
        *("section", "h2", "p", "figure", "figcaption", "b", "span", "div", "br"),
        *("svg", "line", "polyline"),
    }
    assert not any(name.startswith("on") for name in marks.names)
    assert "\u202e" not in section and section.count("<br>") < 10


def test_pointer_and_keyboard_tell_the_numbers(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium is on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pairs = pairs_of(3)
    report([pairs, reward_of(pairs), tokens_of(1)], tmp_path / "r", NOTHING)
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab, said = opened.new_page(viewport={"width": 390, "height": 800}), []
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto((tmp_path / "r/index.html").resolve().as_uri())
        tab.locator(".tokens span >> nth=4").scroll_into_view_if_needed()
        tab.evaluate(TWO_FRAMES)  # a scroll that is told after the pointer came hides the hint
        tab.hover(".tokens span >> nth=4")
        tab.wait_for_selector("#hint", state="visible")
        assert tab.text_content("#hint").strip() == "No: −1 (−1.250)"
        tab.focus(".tokens span >> nth=0")
        tab.keyboard.press("ArrowRight")
        tab.wait_for_selector("#hint", state="visible")
        assert tab.text_content("#hint").strip() == "91: 0.500 (+0.500)"
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        opened.close()
    assert said == []
