"""Steps that do not need a failed one go on where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_specs import REGISTRY, go, spec_of, statuses

import rmplug
from rmplug._cli import failures
from rmplug._run.progress import ending
from rmplug.errors import RmplugError, StepError


def steps(*hows: str) -> dict[str, Any]:
    """Steps that fail, one that needs the first of them, one that needs that, and one of neither;
    the order in which they are written puts the failing ones first."""
    failing = {
        f"bad{number or ''}": {"kind": "fussy", "inputs": "pairs", "params": {"how": how, "bad": 0}}
        for number, how in enumerate(hows)
    }
    return {
        "pairs": {"kind": "made-pairs"},
        **failing,
        "after": {"kind": "mean", "inputs": ["bad"]},
        "page": {"kind": "page", "inputs": ["after", "words"]},
        "words": {"kind": "lengths", "inputs": "pairs"},
        "mean": {"kind": "mean", "inputs": ["words"]},
    }


def failed_run(tmp_path: Path, *hows: str, **more: Any) -> tuple[BaseException, rmplug.Run]:
    with pytest.raises(Exception, match=".") as caught:
        go(spec_of(steps(*hows)), tmp_path, keep_going=True, **more)
    return caught.value, rmplug.open_run("last", tmp_path, REGISTRY)


def test_what_does_not_need_the_failed_step_is_run_and_the_rest_is_named(tmp_path: Path) -> None:
    error, run = failed_run(tmp_path, "message")
    assert isinstance(error, StepError) and str(error).startswith("steps.bad (fussy): row ")
    assert statuses(run) == {"pairs": "done", "bad": "failed", "words": "done", "mean": "done"}
    assert run.record.status == "failed"
    assert run.record.not_run == {
        "after": "it needs bad, which failed",
        "page": "it needs after, which was not run",
    }
    assert ending(run.record).splitlines()[:2] == [
        "- after            not run  it needs bad, which failed",
        "- page             not run  it needs after, which was not run",
    ]
    assert ending(run.record).endswith("4 steps, 0 reused, 1 failed, 2 not run")


def test_without_it_the_first_failure_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(StepError):
        go(spec_of(steps("message")), tmp_path)
    run = rmplug.open_run("last", tmp_path, REGISTRY)
    assert "mean" not in run and run.record.not_run == {}


def test_several_failures_are_told_as_one_with_the_exit_code_of_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error, _ = failed_run(tmp_path, "message", "message")
    assert isinstance(error, RmplugError)
    assert failures.explain(error, False) == failures.MISTAKE
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "rmplug: 2 steps failed:"
    assert [line.partition(":")[0] for line in told[1:]] == [
        "steps.bad (fussy)",
        "steps.bad1 (fussy)",
    ]


def test_a_bug_among_failures_keeps_its_exit_code_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error, run = failed_run(tmp_path, "message", "bug")
    assert failures.explain(error, False) == failures.BUG
    assert "steps.bad1 (fussy)" in capsys.readouterr().err
    assert run.record.steps["bad"].message and run.record.steps["bad1"].traceback


def test_the_record_keeps_what_was_not_run_and_a_later_run_does_it(tmp_path: Path) -> None:
    _, run = failed_run(tmp_path, "message")
    assert json.loads(run.record_path.read_text())["not_run"].keys() == {"after", "page"}
    mended = go(spec_of(steps("")), tmp_path)
    assert statuses(mended)["mean"] == "reused" and statuses(mended)["page"] == "done"
