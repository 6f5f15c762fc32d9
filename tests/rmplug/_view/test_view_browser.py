"""The pages of ``view`` in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rmplug._run.finished import Run
from rmplug._store.run_records import live, new_record, write_record
from rmplug._store.store import Store
from rmplug.records import StepRecord

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
REFUSED = ("Content Security Policy", "Not allowed to load local resource")
"""What a browser says when it refuses what a report tries."""
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no chromium is on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens an address; at the end nothing was said on the console but what a test expects, nothing
    was asked of another host, and no text has run as code."""
    tabs, asked = [], []
    said: list[str] = []

    def note(text: str, expected: tuple[str, ...]) -> None:
        if not any(words in text for words in expected):
            said.append(text)

    def go(address: str, expected: tuple[str, ...] = (), **options: Any) -> Any:
        tab = browser.new_page(**options)
        tabs.append(tab)
        tab.on("console", lambda message: note(message.text, expected))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        return tab

    yield go
    hacked = [tab.evaluate("window.hacked") for tab in tabs]
    for tab in tabs:
        tab.close()
    assert said == []
    assert set(hacked) == {None}
    assert all(url.startswith(("http://127.0.0.1:", "file:///", "data:,")) for url in asked)


def test_runs_are_searched_sorted_and_compared(server: str, runs: list[Run], visit: Visit) -> None:
    tab = visit(server)
    names = tab.locator("#runs tbody th a")
    assert [name.inner_text() for name in names.all()[1:]] == ["tested", "tested"]
    tab.fill("[data-filter]", "TESTED")
    assert tab.inner_text("[data-found]") == "2 of 3 runs"
    tab.select_option("[data-filter-status]", "interrupted")
    assert tab.inner_text("[data-found]") == "0 of 3 runs"
    tab.select_option("[data-filter-status]", "")
    tab.click("th button:has-text('Time')")
    seconds = tab.locator("#runs tbody td[data-value]")
    values = [float(one.get_attribute("data-value")) for one in seconds.all()]
    assert values == sorted(values)
    for finished in runs:
        tab.check(f"input[value='{finished.record.id}']")
    tab.click("button:has-text('Compare'):visible")
    tab.wait_for_selector("h1:has-text('2 runs side by side')")
    assert "steps.words.params.scale" in tab.inner_text("section[aria-labelledby=spec]")
    changed = tab.locator("tr.differs", has_text="mean / mean words.chosen / all")
    cells = changed.locator("td").all()
    first, second, change = (float(cell.get_attribute("data-value")) for cell in cells)
    assert change == pytest.approx(second - first) and second == pytest.approx(2 * first)
    ranked = tab.locator("section[aria-labelledby=models] tbody tr")
    assert ranked.first.locator("th").inner_text().startswith("accuracy: ")
    assert "95 % CI" in tab.inner_text("section[aria-labelledby=models] tbody")


def test_a_run_shows_plan_numbers_and_rows(server: str, runs: list[Run], visit: Visit) -> None:
    tab = visit(f"{server}/runs/{runs[0].record.id}/")
    boxes = tab.locator(".plan .box .name").all_text_contents()
    assert sorted(boxes) == sorted(runs[0].record.steps)
    assert "words (lengths, done) from pairs" in tab.get_attribute(".plan svg", "aria-label")
    state = tab.locator(".box", has_text="words").locator(".state").text_content()
    assert state.startswith("✓ done") and state.endswith("12 odd")
    table = tab.locator("section#numbers details", has_text="accuracy: ")
    table.evaluate("one => { one.open = true; }")
    table.locator("th button:has-text('Value')").click()
    cells = table.locator("tbody td[data-value]:nth-child(4)").all()
    values = [one.get_attribute("data-value") for one in cells]
    numbers = [float(value) for value in values if value]
    assert len(numbers) > 5 and numbers == sorted(numbers)
    assert values[: len(numbers)] == [value for value in values if value]  # none stand last
    tab.click("#tables a:has-text('pairs')")
    tab.fill("input[name=where]", "len(rejected) > 15")
    tab.press("input[name=where]", "Enter")
    tab.wait_for_selector("#found:has-text('rows match')")
    column = tab.locator("thead th").all_inner_texts().index("rejected")
    texts = tab.locator(f"tbody tr > :nth-child({column + 1})").all_inner_texts()
    assert texts and all(len(text) > 15 for text in texts)


def test_a_report_runs_but_reaches_nothing_of_the_viewer(
    server: str, runs: list[Run], visit: Visit
) -> None:
    tab = visit(f"{server}/runs/{runs[1].record.id}/", expected=REFUSED)
    tab.locator("iframe").scroll_into_view_if_needed()
    said = tab.frame_locator("iframe").locator("#said:not(:text-is('waiting'))")
    assert said.inner_text() == "SecurityError SecurityError SecurityError refused null"
    tab.frame_locator("iframe").locator("#more").click()  # a link that a person follows
    assert '"more"' in tab.frame_locator("iframe").locator("body").inner_text()


def test_hostile_names_are_words_and_nothing_else(server: str, visit: Visit) -> None:
    tab = visit(server)
    hostile = tab.locator("#runs tbody th a").first
    shown = "<script>window.hacked = 1</script>\\u202egnp.exe\\x1b[31m"
    assert hostile.inner_text() == shown
    hostile.click()
    tab.wait_for_selector("#spec")
    assert shown in tab.inner_text("#notices")
    assert "‮" not in tab.content()
    assert tab.locator("script").count() == 1


def test_the_page_of_a_run_that_goes_on_updates_itself(
    server: str, store: Store, visit: Visit
) -> None:
    record = new_record("going", {"name": "going", "steps": {}}, "", 0)
    record.steps = {"one": StepRecord("one", "text:words", "sampler", "1", "running")}
    with live(store, record):
        tab = visit(f"{server}/runs/{record.id}/")
        assert "running" in tab.inner_text("[role=status]")
        tab.wait_for_event("response", lambda answer: answer.url.endswith("record.json"))
        record.steps["one"].status, record.steps["one"].rows = "done", 1234
        write_record(store, record)
        tab.wait_for_selector(".box.s-done:has-text('1,234')")
        record.status = "finished"
        write_record(store, record)
    tab.wait_for_selector("[role=status]:has-text('finished')")
    assert tab.locator("[data-record]").count() == 0


def test_a_phone_never_scrolls_sideways_light_or_dark(
    server: str, runs: list[Run], visit: Visit
) -> None:
    first, second = (finished.record.id for finished in runs)
    tab = visit(server, viewport={"width": 390, "height": 844}, color_scheme="light")
    for path in (f"runs/{first}/", f"runs/{first}/tables/pairs/", f"compare/{first},{second}/", ""):
        tab.goto(f"{server}/{path}")
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
    paper = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(paper) == "rgb(246, 247, 249)"
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(paper) == "rgb(14, 16, 20)"
    tab.click("#theme")
    assert tab.evaluate(paper) == "rgb(246, 247, 249)"


def test_the_pages_are_the_same_as_files(pages_folder: Path, runs: list[Run], visit: Visit) -> None:
    tab = visit((pages_folder / "index.html").as_uri(), expected=REFUSED)
    tab.fill("[data-filter]", "tested")
    assert tab.inner_text("[data-found]").startswith("2 of ")
    tab.click(f"a[href*='{runs[1].record.id}']")
    tab.wait_for_selector(".plan .box")
    tab.locator("iframe").scroll_into_view_if_needed()
    said = tab.frame_locator("iframe").locator("#said:not(:text-is('waiting'))")
    assert said.inner_text().startswith("SecurityError")
    tab.click("a:has-text('Compare with the run before')")
    tab.wait_for_selector("h1:has-text('2 runs side by side')")
    tab.click("table a >> nth=0")
    tab.click("#tables a:has-text('pairs')")
    assert "The first 50 of 120 rows" in tab.inner_text("#found")
