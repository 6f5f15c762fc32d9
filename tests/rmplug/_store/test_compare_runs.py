"""Two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_specs import go, spec_of

from rmplug._store.compare import compare_runs
from rmplug._store.store import Store

STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs"},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "fit": {"kind": "line", "inputs": {"features": ["words"], "target": "words.rejected"}},
    "mean": {"kind": "mean", "inputs": ["words"]},
}


def compared(tmp_path: Path, *assign: str, **more: Any) -> list[dict[str, Any]]:
    first = go(spec_of(STEPS), tmp_path)
    second = go(spec_of({**STEPS, **more}), tmp_path, assign=assign)
    return compare_runs(Store(tmp_path), first.record, second.record)


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    assert compared(tmp_path) == []


def test_what_differs_is_told_from_the_spec_to_the_numbers(tmp_path: Path) -> None:
    rows = compared(tmp_path, "steps.words.params.scale=2")
    assert [(row["where"], row["what"]) for row in rows] == [
        ("spec", "steps.words.params.scale"),
        ("result", "words"),
        ("result", "fit"),
        ("result", "mean"),
        ("numbers", "mean / mean words.chosen / all"),
        ("numbers", "mean / mean words.rejected / all"),
    ]
    assert (rows[0]["first"], rows[0]["second"]) == ("–", "2")
    assert float(rows[4]["second"]) == pytest.approx(2 * float(rows[4]["first"]), rel=1e-3)
    assert rows[1]["first"].startswith("lengths-") and rows[1]["second"] != rows[1]["first"]


def test_steps_that_only_one_run_has_are_told(tmp_path: Path) -> None:
    rows = compared(tmp_path, more={"kind": "mean", "inputs": ["words.chosen"]})
    assert {"where": "steps", "what": "more", "first": "–", "second": "done"} in rows
    [number] = [row for row in rows if row["where"] == "numbers"]
    assert number["what"].startswith("more / mean words.chosen") and number["first"] == "–"


def test_the_results_of_loops_are_compared(tmp_path: Path) -> None:
    def loop(last: int) -> dict[str, Any]:
        steps = {"mean": {"kind": "mean", "inputs": {"features": ["words"], "offset": "item"}}}
        return {"kind": "for-each", "params": {
            "values": [1, last], "steps": steps, "collect": ["mean"]}}  # fmt: skip

    first = go(spec_of({**STEPS, "loop": loop(2)}), tmp_path)
    second = go(spec_of({**STEPS, "loop": loop(3)}), tmp_path)
    rows = compare_runs(Store(tmp_path), first.record, second.record)
    whats = [row["what"] for row in rows if row["where"] == "numbers"]
    assert "loop.mean / 3 / mean words.chosen / all" in whats
    assert "loop.mean / 1 / mean words.chosen / all" not in whats


def test_numbers_are_missing_where_a_result_was_removed(tmp_path: Path) -> None:
    first = go(spec_of(STEPS), tmp_path)
    second = go(spec_of(STEPS), tmp_path, assign=["steps.words.params.scale=2"])
    Store(tmp_path).discard(first.path("mean").name)
    rows = compare_runs(Store(tmp_path), first.record, second.record)
    assert {row["first"] for row in rows if row["what"].startswith("mean /")} == {"–"}
