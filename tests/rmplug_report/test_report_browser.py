"""The page in a real browser: it sorts, filters and opens as it should, and asks for nothing."""

from __future__ import annotations

import re
import shutil
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
from benchmark_inputs import ATTRIBUTES, gated
from report_inputs import fit_of, hostile, pairs_of, report, reward_of

from rmplug import Features, Pairs, PlanView

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = 'tr.row td.prompt:not(:text-is("…"))'
NOTHING = PlanView("many", 1, [])


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium is on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Opens a report; at the end nothing was said on the console and nothing was asked for."""
    tabs, said, asked = [], [], []

    def go(directory, **options):
        tab = browser.new_page(**options)
        tabs.append(tab)
        address = (directory / "index.html").resolve().as_uri()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        tab.wait_for_selector(READY)
        return tab

    yield go
    for tab in tabs:
        tab.close()
    assert said == []
    assert all(url == "data:," or url.startswith("file:") for url in asked)
    assert len({url for url in asked if url.startswith("file:")}) <= len(tabs)


def column(tab, name):
    cells = tab.locator(f"tr.row td.{name}").all_inner_texts()
    return [float(re.sub(r"[^\d.−-]", "", cell).replace("−", "-")) for cell in cells]


def found(tab, words):
    tab.wait_for_function("w => document.getElementById('found').textContent === w", arg=words)


def test_the_table_sorts_by_margin_gap_and_residual(page, visit):
    tab = visit(page)
    assert column(tab, "margin") == sorted(column(tab, "margin"))
    for name, title in (("gap", "Length gap"), ("residual", "Residual")):
        for down in (False, True):
            tab.click(f"#heads button:has-text('{title}')")
            tab.wait_for_selector(f"th[aria-sort={'descending' if down else 'ascending'}]")
            tab.wait_for_timeout(60)
            assert column(tab, name) == sorted(column(tab, name), reverse=down)


def test_small_margins_have_digits_and_long_ids_keep_what_differs(tmp_path, visit):
    pairs = pairs_of(40)
    ids = [f"my-preferences-of-2026.csv:{i}" for i in range(40)]
    table = pairs.table.set_column(pairs.table.column_names.index("id"), "id", [ids])
    small = np.linspace(-1, 1, 40) * 1e-4
    table = table.append_column("margin", pa.array(small))
    named = Pairs(table, name="pairs")
    reward = Features(named.table.select(["id", "group", "margin"]), name="reward")
    report([named, reward], tmp_path / "report", NOTHING)
    tab = visit(tmp_path / "report")
    assert column(tab, "margin")[:3] == pytest.approx(small[:3], abs=1e-6)
    cells = tab.locator("tr.row td.id")
    shown = cells.all_inner_texts()
    assert [one.split(":")[1] for one in shown] == [str(i) for i in range(len(shown))]
    assert cells.first.get_attribute("title") == ids[0]
    assert cells.first.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_the_table_filters_by_subset_verdict_and_text(page, visit):
    tab = visit(page)
    found(tab, "300 pairs")
    tab.select_option("#subset", label="code")
    found(tab, "100 of 300 pairs")
    tab.wait_for_timeout(60)
    assert set(tab.locator("tr.row td.subset").all_inner_texts()) == {"code"}
    tab.select_option("#verdict", "wrong")
    tab.wait_for_timeout(60)
    assert max(column(tab, "margin")) < 0
    tab.select_option("#subset", "")
    tab.select_option("#verdict", "")
    tab.fill("#find", "PAIR-00042")
    found(tab, "1 of 300 pairs")
    tab.fill("#find", "no such words anywhere")
    found(tab, "0 of 300 pairs")
    assert "No pair matches" in tab.inner_text("#body")


def test_a_row_opens_both_responses_side_by_side_by_mouse_and_by_keyboard(page, visit):
    tab = visit(page)
    tab.fill("#find", "pair-00042")
    found(tab, "1 of 300 pairs")
    tab.click("tr.row")
    left, right = tab.locator("dialog .side").all()
    one, other = left.bounding_box(), right.bounding_box()
    assert one["y"] == other["y"] and other["x"] > one["x"] + one["width"]
    pairs = pairs_of(300)
    texts = [pairs[side][42].as_py()[0]["content"] for side in ("chosen", "rejected")]
    assert [box.locator(".text").inner_text() for box in (left, right)] == texts
    assert pairs["prompt"][42].as_py()[0]["content"] in tab.inner_text(".turn")
    tab.keyboard.press("Escape")
    tab.fill("#find", "")
    found(tab, "300 pairs")
    tab.locator("tr.row").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog[open]")
    assert tab.inner_text("#reader-place") == "3 of 300"
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(
        "() => document.getElementById('reader-place').textContent === '4 of 300'"
    )
    tab.keyboard.press("Escape")
    # the browser gives the focus back to the row it came from, before the page moves it
    tab.wait_for_function("() => document.activeElement.dataset.place === '3'")


def test_a_phone_never_scrolls_sideways(page, visit):
    tab = visit(page, viewport={"width": 390, "height": 844}, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.click("tr.row")
    tab.wait_for_selector("dialog[open] .side")
    assert tab.evaluate("document.getElementById('reading').scrollWidth") <= 390
    sides = [side.bounding_box() for side in tab.locator("dialog .side").all()]
    assert sides[0]["x"] == sides[1]["x"]


BOXES = """(figure) => [...document.querySelectorAll(`${figure} svg text`)]
    .map(text => [text.getBoundingClientRect(), text]).filter(([box]) => box.width)
    .map(([box, text]) => [box.left, box.top, box.right, box.bottom, text.firstChild.data,
                           text.querySelector('title')?.textContent ?? ''])"""


@pytest.mark.parametrize("width", [390, 1200])
def test_long_names_of_features_are_read_whole_and_cover_nothing(tmp_path, visit, width):
    pairs = pairs_of(30)
    of = "words-and-characters-of-prompts-and-responses.differences_between_the_responses"
    report([pairs, fit_of(tmp_path, pairs, of=f"a.{of}")], tmp_path / "report", NOTHING)
    tab = visit(tmp_path / "report", viewport={"width": width, "height": 844})
    boxes = tab.evaluate(BOXES, "figure:has(a[href*='importance-1.svg'])")
    names = [box for box in boxes if not box[4][-1].isdigit() and box[4] != "importance"]
    assert len(names) == 6  # three features, each in two lines
    for one, other in combinations(names, 2):
        assert one[3] <= other[1] + 3 or other[3] <= one[1] + 3  # boxes hold more than the letters
    assert max(abs(box[2] - names[0][2]) for box in names) < 1 and min(b[0] for b in names) > 0
    assert [box[5] for box in names if "…" in box[4]] == [
        f"{of}.characters", f"{of}.hedges", f"{of}.digits",
    ]  # fmt: skip


def test_dark_follows_the_system_and_the_button_overrules_it(page, visit):
    def paper(tab):
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = visit(page, color_scheme="dark")
    light = visit(page, color_scheme="light")
    assert (paper(dark), paper(light)) == ("rgb(14, 16, 20)", "rgb(246, 247, 249)")
    ink = "getComputedStyle(document.querySelector('#accuracy .wide svg text')).fill"
    assert dark.evaluate(ink) != light.evaluate(ink)
    light.click("#theme")
    assert paper(light) == paper(dark)
    dark.click("#theme")
    assert paper(dark) == "rgb(246, 247, 249)"


def test_words_stand_out_from_what_is_behind_them(page, visit):
    contrast = """() => {
      const light = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const probe = document.body.appendChild(document.createElement("i"));
      const of = (name) => {
        probe.style.color = `var(--${name})`;
        return light(getComputedStyle(probe).color);
      };
      const names = ["ink", "muted", "bad", "good", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"];
      return names.map((name) => { const [a, b] = [of(name), of("card")].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05); });
    }"""
    for scheme in ("light", "dark"):
        tab = visit(page, color_scheme=scheme)
        assert min(tab.evaluate(contrast)) >= 4.5


def test_hostile_text_does_nothing_and_breaks_nothing(tmp_path, visit):
    pairs = hostile()
    items = [pairs, reward_of(pairs, "<img src=x onerror=hack()>")]
    report(items, tmp_path / "report", PlanView("</title><script>", 1, []))
    tab = visit(tmp_path / "report", viewport={"width": 390, "height": 844})
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    seen = ""
    for place in range(len(pairs)):
        tab.click(f"tr.row[data-place='{place}']")
        tab.wait_for_selector("dialog[open] .side")
        assert tab.evaluate("document.getElementById('reading').scrollWidth") <= 390
        seen += tab.inner_text("dialog")
        tab.keyboard.press("Escape")
    assert tab.evaluate("window.hacked") is None
    assert "<script>window.hacked = 1</script>" in seen
    assert "‹U+202E›evil‹U+202C›" in seen and "\u202e" not in seen
    assert "nul␀ bell␇ escape␛[31m delete␡" in seen
    assert "cut here: 4,000 of 1,000,000 characters" in seen


def test_the_page_says_what_it_is_to_those_who_listen(page, visit):
    tab = visit(page)
    assert tab.locator("main").count() == 1
    assert tab.locator("nav[aria-label]").count() == 1
    unnamed = (
        "[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length"
    )
    assert tab.evaluate(unnamed) == 0
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    tags = "[...document.querySelectorAll('main h1, main h2, main h3')].map(e => e.tagName)"
    levels = [int(tag[1]) for tag in tab.evaluate(tags)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert tab.get_attribute("#list", "aria-rowcount") == "301"


def test_without_javascript_everything_but_the_table_is_there(page, browser):
    tab = browser.new_page(java_script_enabled=False)
    tab.goto((page / "index.html").as_uri())
    assert "61.3" in tab.inner_text("h1")
    assert "needs JavaScript" in tab.inner_text("noscript")
    assert tab.locator("figure:visible").count() == 13
    tab.close()


def test_fifty_thousand_rows_are_searched_in_steps_sorted_and_scrolled(tmp_path, visit):
    pairs = pairs_of(50_000, words=60)
    report([pairs, reward_of(pairs)], tmp_path / "report", NOTHING)
    assert (tmp_path / "report/index.html").stat().st_size < 25e6
    tab = visit(tmp_path / "report")
    found(tab, "50,000 pairs")
    tab.evaluate("""() => { window.told = new Set(); const found = document.getElementById("found");
      new MutationObserver(() => window.told.add(found.textContent))
        .observe(found, { childList: true }); }""")
    assert tab.locator("tr.row").count() < 60
    tab.fill("#find", "pair-0499")
    found(tab, "10 of 50,000 pairs")
    steps = [said for said in tab.evaluate("[...window.told]") if said.startswith("Searching")]
    assert len(steps) >= 10
    tab.fill("#find", "")
    found(tab, "50,000 pairs")
    tab.click("#heads button:has-text('Length gap')")
    tab.wait_for_selector("th[aria-sort=ascending]")
    tab.evaluate("document.getElementById('rows').scrollTop = 46 * 40000")
    tab.wait_for_selector("tr.row[data-place='40005'] " + READY.removeprefix("tr.row "))
    assert column(tab, "gap") == sorted(column(tab, "gap"))


def test_a_cell_tells_its_interval_to_the_pointer_and_to_the_keyboard(benchmarks, visit):
    tab = visit(benchmarks)
    cells = tab.locator("#matrices .draw.wide svg").first.locator("[data-hint]")
    cells.nth(2).hover()
    assert "markdown: 46.0" in tab.inner_text("#hint").replace("\N{NO-BREAK SPACE}", " ")
    cells.first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    said = tab.evaluate("document.activeElement.dataset.hint")
    assert said.startswith("plain, plain: 70.0") and said.endswith("n = 798")
    assert tab.inner_text("#hint") == said
    tab.keyboard.press("Escape")
    assert tab.locator("#hint").is_hidden()


def test_benchmarks_never_make_a_phone_scroll_sideways(benchmarks, visit):
    tab = visit(benchmarks, viewport={"width": 390, "height": 844}, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.click("tr.row")
    tab.wait_for_selector("dialog[open] .parts")
    assert tab.evaluate("document.getElementById('reading').scrollWidth") <= 390


def test_what_is_wider_than_the_page_fades_where_it_goes_on_and_prints_whole(benchmarks, visit):
    tab = visit(benchmarks, viewport={"width": 390, "height": 844})
    wide = tab.locator("figure .draw.scroll").first
    assert wide.get_attribute("tabindex") == "0" and wide.get_attribute("aria-label")
    wide.scroll_into_view_if_needed()
    shown = "e => [e.classList.contains('before'), e.classList.contains('after')]"
    assert wide.evaluate(shown) == [False, True]
    assert "linear-gradient" in wide.evaluate("e => getComputedStyle(e).maskImage")
    bar = "e => getComputedStyle(e, '::-webkit-scrollbar').height"
    assert wide.evaluate(bar) == "10px"
    wide.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    tab.wait_for_function("e => e.classList.contains('before')", arg=wide.element_handle())
    assert wide.evaluate(shown) == [True, False]
    tab.emulate_media(media="print")
    whole = "e => e.firstElementChild.getBoundingClientRect().right <= innerWidth"
    assert wide.evaluate(whole)
    assert wide.evaluate("e => getComputedStyle(e).maskImage") == "none"
    table = tab.locator(".scroll:has(table)").first
    assert table.evaluate("e => getComputedStyle(e).overflowX") == "visible"


def test_the_contributions_of_a_pair_add_up_to_its_scores(benchmarks, visit):
    tab = visit(benchmarks)
    tab.fill("#find", "pair-00042")
    found(tab, "1 of 300 pairs")
    tab.click("tr.row")
    tab.wait_for_selector("dialog[open] .parts")
    names = tab.locator(".parts tbody th").all_inner_texts()
    assert sorted(names) == sorted(ATTRIBUTES)
    features = gated(pairs_of(300))
    sums = tab.locator(".parts tfoot td").all_inner_texts()
    shown = [float(one.replace("−", "-")) for one in sums]
    expected = [1.0, *(features[one][42].as_py() for one in ("chosen", "rejected", "margin"))]
    assert shown == pytest.approx(expected, abs=2e-3)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A report of three rewards of forty pairs."""
    folder = tmp_path_factory.mktemp("several") / "report"
    pairs = pairs_of(40)
    rewards = [reward_of(pairs, name, seed) for seed, name in enumerate(("one", "two", "three"))]
    report([pairs, *rewards], folder, plan=NOTHING)
    return folder


def test_pairs_are_found_by_how_far_rewards_disagree_and_which_two_decide_otherwise(several, visit):
    tab = visit(several)
    tab.select_option("#sort", "disagreement down")
    tab.wait_for_selector("th[aria-sort=descending]")
    tab.wait_for_timeout(60)
    apart = column(tab, "disagreement")
    assert apart == sorted(apart, reverse=True) and apart[0] > apart[-1]
    told = tab.locator("tr.row td.disagreement").first.get_attribute("data-hint")
    assert re.fullmatch(r"one −?[\d.]+, two −?[\d.]+, three −?[\d.]+", told)
    pairs = pairs_of(40)
    margins = [reward_of(pairs, "", seed)["margin"].to_numpy() for seed in (0, 2)]
    tab.select_option("#against", label="three")
    found(tab, f"{int((margins[0] * margins[1] < 0).sum())} of 40 pairs")
    tab.click("tr.row")
    names = tab.locator("dialog .scores tbody th").all_inner_texts()
    assert names == ["one", "two", "three", "disagreement"]


def test_a_phone_shows_disagreement_within_its_width(several, visit):
    tab = visit(several, viewport={"width": 390, "height": 844}, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    row = tab.locator("tr.row").first
    cells = [row.locator(f"td.{name}").bounding_box() for name in ("disagreement", "gap")]
    assert all(one["x"] + one["width"] <= 390 for one in cells)
    assert cells[0]["y"] == cells[1]["y"]


def test_the_report_of_everything_is_small(page):
    assert (page / "index.html").stat().st_size < 1.5e6
