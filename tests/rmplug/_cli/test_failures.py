"""A bug as a person meets it: where and what in one line, the traceback where it is wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_specs import command, environment, spec_of

PAIRS = {"kind": "made-pairs", "params": {"rows": 30}}
FUSSY = {"kind": "fussy", "inputs": "pairs", "params": {"how": "bug"}}
BUG = "this is a bug, not a mistake in the spec: the traceback is in "


def run(tmp_path: Path, steps: dict[str, object], *more: str, workers: int = 1) -> tuple[str, Path]:
    """Standard error of a run that fails with a bug, and its record."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(spec_of({"pairs": PAIRS, **steps}, workers)))
    arguments = command(spec, tmp_path / "store", *more)
    done = subprocess.run(
        arguments, env=environment(tmp_path / "site"), capture_output=True, text=True
    )
    assert done.returncode == 1
    [path] = (tmp_path / "store").glob("runs/*/record.json")
    return done.stderr, path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_in_a_step_is_one_line_that_says_where(tmp_path: Path, workers: int) -> None:
    told, record = run(tmp_path, {"fussy": FUSSY}, workers=workers)
    [line] = [line for line in told.splitlines() if line.startswith("rmplug: ")]
    assert "Traceback" not in told
    assert line.startswith("rmplug: steps.fussy (fussy): rows ")
    assert line.endswith(f": ZeroDivisionError: a bug; {BUG}{record}, and --traceback shows it")
    step = json.loads(record.read_text())["steps"]["fussy"]
    assert step["status"] == "failed" and "in _fuss" in step["traceback"]


def test_a_bug_in_an_item_says_which_item(tmp_path: Path) -> None:
    params = {"values": [1, 2], "collect": ["fussy"], "steps": {"fussy": FUSSY}}
    told, _ = run(tmp_path, {"loop": {"kind": "for-each", "params": params}})
    assert "rmplug: steps.loop (for-each): item 1: steps.fussy (fussy): rows 10 to 19 (sh" in told


def test_the_traceback_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    told, _ = run(tmp_path, {"fussy": FUSSY}, "--traceback")
    assert "Traceback (most recent call last)" in told and "in _fuss" in told
    last = told.splitlines()[-1]
    assert last.startswith("rmplug: steps.fussy (fussy): rows 10 to 19 (shard 1): ZeroDivision")


def test_signs_that_the_output_does_not_know_are_written_as_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rmplug", "describe", "pairwise"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "") and "\\u2026" in done.stdout
