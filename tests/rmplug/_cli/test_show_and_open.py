"""A run as ``show`` and ``open`` give it to a person."""

from __future__ import annotations

import json
import re
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_specs import go, spec_of

from rmplug._cli.commands import main
from rmplug._cli.tables import WIDE
from rmplug._run.finished import Run
from rmplug._store.store import Store
from rmplug._view.run_list import RunList

STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs"},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "mean": {"kind": "mean", "inputs": ["words"]},
    "page": {"kind": "page", "inputs": ["mean"]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(store: Path) -> Run:
    """A run whose report tells in words what it found."""
    finished = go(spec_of(STEPS), store)
    words = {
        "headline": "Accuracy 82.1 % (95 % CI 77.5–85.9)",
        "findings": [{"about": "Length", "text": "longer \x1b[31m wins"}, "odd", {"text": 3}],
    }
    (finished.reports[0].parent / "metrics.json").write_text(json.dumps(words), encoding="utf-8")
    return finished


class Browser(webbrowser.BaseBrowser):
    """A browser that keeps what it was asked to open."""

    opened: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        return True


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    webbrowser.register("kept", Browser, preferred=True)
    Browser.opened.clear()
    yield Browser.opened


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_show_tells_what_was_found_before_what_was_done(
    finished: Run, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = printed(capsys, "show", "tested", "--store", str(store))
    parts = [
        f"{finished.record.id}: finished in ",
        "Accuracy 82.1 % (95 % CI 77.5–85.9)",
        "  - Length: longer \\x1b[31m wins",
        "Numbers",
        "mean words.chosen",
        "Steps",
        "made-pairs",
        "report: ",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [20, 60, 200])
def test_ids_and_numbers_are_in_one_line_however_narrow_the_terminal_is(
    finished: Run,
    store: Path,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rmplug._cli.tables.WIDE", width)
    assert finished.record.id in printed(capsys, "runs", "--store", str(store))
    assert "mean words.rejected" in printed(capsys, "show", "--store", str(store))


def test_open_shows_the_report_of_the_named_run_in_the_browser(
    finished: Run, store: Path, browser: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, "open", "test", "--store", str(store)).startswith("opened ")
    assert browser == [finished.reports[0].as_uri()]


def test_open_prints_the_path_where_there_is_no_browser_or_none_is_wanted(
    finished: Run,
    store: Path,
    browser: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = f"{finished.reports[0]}\n"
    assert printed(capsys, "open", "--print", "--store", str(store)) == path
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    assert printed(capsys, "open", "--store", str(store)) == path
    assert browser == []


def test_a_run_without_a_report_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go(spec_of({"pairs": STEPS["pairs"]}), tmp_path)
    assert main(["open", "--store", str(tmp_path)]) == 2
    assert "has no report; rmplug report " in capsys.readouterr().err


def test_a_store_without_runs_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, "runs", "--store", str(tmp_path)).startswith(f"no runs in {tmp_path};")
    assert main(["show", "--store", str(tmp_path)]) == 2
    assert f"there are no runs in {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[", "[]", '{"findings": 3}', '{"headline": ["a"]}'])
def test_a_strangers_words_that_are_none_are_passed_over(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = go(spec_of(STEPS), tmp_path).reports[0]
    (page.parent / "metrics.json").write_text(content)
    assert "Numbers" in printed(capsys, "show", "--store", str(tmp_path))


def test_the_words_of_a_report_are_told_without_reading_all_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = go(spec_of(STEPS), tmp_path).reports[0]
    words = {"headline": "Précis €", "findings": [{"text": "longer wins"}], "x": "é" * 50_000}
    text = json.dumps(words, ensure_ascii=False)
    (page.parent / "metrics.json").write_text(text, encoding="utf-8")
    shown = printed(capsys, "show", "--store", str(tmp_path))
    assert "Précis €" in shown and "longer wins" in shown


def test_a_run_beside_itself_is_said_to_be_the_same_run(
    finished: Run, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "last", finished.record.id, "--store", str(store)]) == 0
    told = f"both are the run {finished.record.id}; name two runs (rmplug runs lists them)\n"
    assert capsys.readouterr().out == told


def test_a_list_for_another_program_has_minutes_and_no_blanks_at_the_end_of_lines(
    finished: Run, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--store", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert f"  {finished.record.started[:16].replace('T', ' ')}  " in lines[1]
    assert main(["runs", "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["started"] == finished.record.started


def test_of_several_reports_each_is_named_by_its_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = {"kind": "page", "inputs": ["words"]}
    run = go(spec_of({**STEPS, "brief": second}), tmp_path)
    assert main(["show", run.record.id, "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\nreport page: " in shown and "\nreport brief: " in shown


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            ["rank", "model", "rows", "a"],
            "'a'; write --responses A [B ...]: the responses to one prompt",
        ),
        (["run", "spec.yaml", "page"], "; write --only STEP [STEP ...]: these steps and what they"),
        (["run", "spec.yaml", "--workers", "0"], "; write --set 'engine.params.workers=...'"),
        (["check", "spec.yaml", "--shard-rows=8"], "; write --set 'engine.params.shard_rows=...'"),
        (["check", "spec.yaml", "--layers", "8"], "unknown argument '--layers'\n"),
        (["score", "model", "--dtype=float32"], "; write --param 'dtype=...'"),
    ],
)
def test_what_a_command_does_not_take_is_answered_with_what_to_write(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert hint in capsys.readouterr().err


def test_of_an_interrupted_run_it_is_said_how_to_go_on_and_how_long_it_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = go(spec_of(STEPS), tmp_path)
    file = tmp_path / "runs" / run.record.id / "record.json"
    record = json.loads(file.read_text())
    record["status"], record["seconds"] = "running", 0.0  # as a killed run leaves it
    record["steps"]["pairs"]["seconds"] = 2.5
    file.write_text(json.dumps(record))
    assert main(["show", "last", "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"interrupted after \d+\.\d s or more, seed", shown)
    assert "\nrun it again to go on: what is done is reused\n" in shown


def failed_run(store: Path, why: str) -> str:
    """A run in a store, recorded as failed in the step ``mean``; gives its id."""
    run = go(spec_of(STEPS), store)
    file = store / "runs" / run.record.id / "record.json"
    record = json.loads(file.read_text())
    record["status"] = record["steps"]["mean"]["status"] = "failed"
    record["steps"]["mean"]["message"] = why
    file.write_text(json.dumps(record))
    return run.record.id


def test_the_list_of_runs_on_a_page_says_why_one_failed(tmp_path: Path) -> None:
    failed_run(tmp_path, "no rows")
    [line] = RunList(Store(tmp_path)).lines()
    assert (line.status, line.note) == ("failed", "mean: no rows")


def test_the_list_of_runs_says_in_one_line_why_one_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "no rows \x1b[31m of\nthe table " + "are left " * 100
    failed = failed_run(tmp_path, why)
    good = go(spec_of(STEPS), tmp_path).record.id
    head, first, reason, second = printed(capsys, "runs", "--store", str(tmp_path)).splitlines()
    assert head.split() == ["run", "status", "started", "seconds", "steps"]
    assert first.startswith(f"{failed}  failed ") and second.startswith(f"{good}  finished ")
    assert reason.startswith("└ mean: no rows \\x1b[31m of the table are left are")
    assert reason.endswith("…") and len(reason) == WIDE
    rows = json.loads(printed(capsys, "runs", "--store", str(tmp_path), "--json"))
    assert [row["reason"] for row in rows] == [f"mean: {why}", ""]
