"""Records of runs: written while a run goes on, found by any name a person has for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_tools import go, spec_of

from rmplug._store.run_records import (
    all_records,
    find_record,
    is_live,
    live,
    new_record,
    peak_memory_mb,
    previous_steps,
    read_record,
    write_record,
)
from rmplug._store.store import Store
from rmplug.errors import StoreError
from rmplug.records import RunRecord, StepRecord


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


def record(store: Store, name: str, identity: str, **steps: str) -> RunRecord:
    made = new_record(name, {"steps": {}}, "spec.yaml", 1)
    made.id, made.status = identity, "finished"
    for step, artifact in steps.items():
        made.steps[step] = StepRecord(step, "p:k", "sampler", "1", "done", artifact=artifact)
    write_record(store, made)
    return made


def test_a_record_survives_being_written_and_read(store: Store) -> None:
    made = record(store, "first", "1-a", one="k-1", two="k-2")
    made.steps["one"].notices = [{"what": "odd", "action": "kept", "count": 1, "ids": ["ü"]}]
    assert read_record(write_record(store, made)) == made


def test_a_run_is_named_after_when_it_began_and_what_its_spec_is_called() -> None:
    made = [new_record("reward: α/β", {}, "spec.yaml", 1) for _ in range(3)]
    assert made[0].id[:8].isdigit() and "-reward-" in made[0].id and "/" not in made[0].id
    assert len({entry.id for entry in made}) == 3
    assert made[0].started.endswith("+00:00")


def test_a_run_is_found_by_its_id_its_beginning_its_name_or_as_the_last(store: Store) -> None:
    for name, identity in (
        ("first", "20260101-a"),
        ("second", "20260102-b"),
        ("first", "20260103-c"),
    ):
        record(store, name, identity)
    found = {name: find_record(store, name).id for name in ("last", "20260101", "second", "first")}
    assert found == {
        "last": "20260103-c",
        "20260101": "20260101-a",
        "second": "20260102-b",
        "first": "20260103-c",
    }
    with pytest.raises(StoreError, match="no run '20260102-d' .*; did you mean '2026010"):
        find_record(store, "20260102-d")


def test_runs_are_listed_from_the_oldest_on(store: Store) -> None:
    for identity in ("2-b", "1-a", "3-c"):
        record(store, "named", identity)
    assert [entry.id for entry in all_records(store)] == ["1-a", "2-b", "3-c"]


def test_a_record_that_cannot_be_read_is_named_and_does_not_stop_a_run(tmp_path: Path) -> None:
    spec = spec_of({"pairs": {"kind": "made-pairs"}})
    finished = go(spec, tmp_path)
    path = tmp_path / "runs" / finished.record.id / "record.json"
    for text in ("", "{", "[]", "{}", '{"steps": {"a": {"no": 1}}}', '{"steps": 3}'):
        path.write_text(text)
        with pytest.raises(StoreError, match="record.json is no record of a run .*remove the fold"):
            all_records(Store(tmp_path))
    assert go(spec, tmp_path).record.steps["pairs"].status == "reused"


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(store: Store) -> None:
    made = new_record("first", {}, "spec.yaml", 1)
    with live(store, made):
        assert is_live(store, made) and find_record(store, "last").status == "running"
    assert not is_live(store, made) and find_record(store, "last").status == "interrupted"


def test_the_previous_result_of_each_step_is_that_of_the_last_run_that_had_one(
    store: Store,
) -> None:
    record(store, "first", "20260101-000000-000-first-aa", one="k-1", two="k-2")
    record(store, "other", "20260102-000000-000-other-aa", one="k-9")
    record(store, "first", "20260103-000000-000-first-aa", one="k-3", two="")
    found = previous_steps(store, "first")
    assert {name: step.artifact for name, step in found.items()} == {"one": "k-3", "two": "k-2"}


def test_a_record_is_there_while_the_run_goes_on(tmp_path: Path) -> None:
    seen = []
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "bug"}}
    with pytest.raises(ZeroDivisionError):
        go(spec_of({"pairs": {"kind": "made-pairs"}, "fussy": fussy}), tmp_path)
    [path] = tmp_path.glob("runs/*/record.json")
    found = json.loads(path.read_text())
    seen.append((found["status"], found["steps"]["pairs"]["status"]))
    assert seen == [("failed", "done")] and found["steps"]["fussy"]["artifact"].startswith("fussy-")


def test_peak_memory_is_that_of_this_process_and_does_not_fall() -> None:
    before = peak_memory_mb()
    block = bytearray(60_000_000)
    during = peak_memory_mb()
    del block
    assert during > before + 40 or during > 200
    assert peak_memory_mb() > during - 2
