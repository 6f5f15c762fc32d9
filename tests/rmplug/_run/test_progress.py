"""What a person sees while a run goes on: bars on a terminal, a line per step otherwise."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from run_specs import command, environment, go, spec_of

from rmplug._run.progress import Bars, Lines, ending, line, progress_observer
from rmplug.records import RunRecord, StepRecord


def step(**facts: object) -> StepRecord:
    return StepRecord("words", "text:lexical", "feature computer", "1", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            {"status": "done", "rows": 2744, "seconds": 1.26, "rows_per_second": 21744.2},
            "✓ words            done     2,744 rows · 1.3 s · 21,744/s",
        ),
        ({"status": "reused", "rows": 3, "seconds": 9.0}, "· words            reused   3 rows"),
        (
            {"status": "failed", "seconds": 0.04, "message": "no"},
            "✗ words            failed   0.0 s",
        ),
        (
            {"status": "rebuilt", "seconds": 2, "message": "it was damaged"},
            "↻ words            rebuilt  2.0 s · it was damaged",
        ),
        (
            {"status": "done", "notices": [{"count": 1200}, {"count": 34}]},
            "✓ words            done     0.0 s · 1,234 noticed",
        ),
    ],
)
def test_a_step_is_told_in_one_line(facts: dict[str, object], told: str) -> None:
    assert line(step(**facts)) == told


def test_a_run_is_told_in_one_line() -> None:
    run = RunRecord("id", "quick", {}, "", 0, "finished", seconds=3.21)
    run.steps = {"a": step(status="reused"), "b": step(status="done")}
    assert ending(run) == "quick: finished in 3.2 s, 2 steps, 1 reused"


def test_without_a_terminal_each_step_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(progress_observer(), Lines)
    steps = {"pairs": {"kind": "made-pairs"}, "rank": {"kind": "rank", "inputs": "pairs"}}
    go(spec_of(steps), tmp_path, observers=[progress_observer()])
    out, err = capsys.readouterr()
    told = err.splitlines()
    assert out == "" and len(told) == 4 and told[0].startswith(f"new store: {tmp_path} ")
    assert re.fullmatch(r"✓ pairs +done +40 rows · \d\.\d s · [\d,]+/s", told[1])
    assert re.fullmatch(r"tested: finished in \d\.\d s, 2 steps, 0 reused", told[3])


def test_on_a_terminal_there_are_bars_with_rate_and_remaining_time(tmp_path: Path) -> None:
    steps = {
        "pairs": {"kind": "made-pairs", "params": {"rows": 300}},
        "words": {"kind": "lengths", "inputs": "pairs", "params": {"pause": 0.04}},
    }
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec_of(steps)))
    screen = run_on_terminal(command(path, tmp_path / "store"), environment(tmp_path / "site"))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "━" in plain
    assert re.search(r"words .*\d+/300 +[\d,]+/s +0:00:0\d", plain)
    assert re.search(r"✓ words +done +300 rows", plain)
    assert re.search(r"tested: finished in \d+\.\d s, 2 steps", plain)
    assert "\x1b[?25h" in screen, "the cursor is shown again"


def run_on_terminal(arguments: list[str], env: dict[str, str]) -> str:
    parent, child = pty.openpty()
    told = {**env, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(arguments, env=told, stdout=child, stderr=child, stdin=child)
    os.close(child)
    screen = b""
    while True:
        try:
            block = os.read(parent, 4096)
        except OSError:
            break
        if not block:
            break
        screen += block
    os.close(parent)
    assert process.wait(timeout=60) == 0, screen.decode()
    return screen.decode()


def test_bars_survive_whatever_order_steps_end_in(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    run = RunRecord("id", "quick", {}, "", 0)
    bars.run_started(run)
    bars.step_started(step())
    bars.step_progress(step(status="waiting"), 0, None)
    bars.step_progress(step(), 5, 10)
    bars.step_finished(step(status="done"))
    bars.run_finished(run)
    assert "✓ words" in capsys.readouterr().err
