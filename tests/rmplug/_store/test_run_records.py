"""Records of runs: written while a run goes on, found by any name a person has for them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from run_specs import go, spec_of

from rmplug._store import record_files
from rmplug._store.record_files import read_record, record_bytes, record_data
from rmplug._store.run_records import (
    PreviousSteps,
    RecordWriter,
    UnreadableRecord,
    each_record,
    each_summary,
    find_record,
    is_live,
    live,
    new_record,
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
    assert [entry.id for entry in each_record(store)] == ["1-a", "2-b", "3-c"]


def test_a_record_that_cannot_be_read_is_named_and_does_not_stop_a_run(tmp_path: Path) -> None:
    spec = spec_of({"pairs": {"kind": "made-pairs"}})
    finished = go(spec, tmp_path)
    path = tmp_path / "runs" / finished.record.id / "record.json"
    for text in ("", "{", "[]", "{}", '{"steps": {"a": {"no": 1}}}', '{"steps": 3}', "\udcff"):
        path.write_bytes(text.encode(errors="surrogateescape"))
        [listed] = each_record(Store(tmp_path))
        assert isinstance(listed, UnreadableRecord) and listed.id == finished.record.id
        assert listed.problem.startswith(f"{path} is no record of a run that can be read (")
        assert listed.problem.endswith(
            f"); remove the folder {finished.record.id} if nothing is lost with it"
        )
        with pytest.raises(StoreError, match="is no record of a run that can be read"):
            find_record(Store(tmp_path), "last")
    assert go(spec, tmp_path).record.steps["pairs"].status == "reused"


def test_a_list_of_runs_shows_what_the_whole_records_hold(tmp_path: Path) -> None:
    go(spec_of({"pairs": {"kind": "made-pairs"}}), tmp_path)
    store = Store(tmp_path)
    record(store, "odd", "0-odd", one="k-1")
    newer(write_record(store, record(store, "new", "0-new", one="k-1")), status="asleep")
    killed = new_record("killed", {"steps": {"a": {}, "b": {}}}, "spec.yaml", 1)
    killed.steps["a"] = StepRecord("a", "p:k", "sampler", "1", "running")
    write_record(store, killed)
    (store.runs / "0-bad").mkdir()
    (store.runs / "0-bad/record.json").write_text("{")
    listed = {row.id: row for row in each_summary(store)}
    assert list(listed) == [one.id for one in each_record(store)]
    for whole in each_record(store):
        summary = listed[whole.id]
        if isinstance(whole, UnreadableRecord):
            assert summary == whole
            continue
        status = whole.unknown.get("status", whole.status)
        shown = (summary.name, summary.status, summary.seconds, summary.note)
        assert shown == (whole.name, status, whole.seconds, whole.note)
        ended = [step for step in whole.steps.values() if step.status in ("done", "reused")]
        assert (summary.ended, summary.steps) == (len(ended), len(whole.spec["steps"]))
    assert listed[killed.id].status == "interrupted"


def test_a_list_of_runs_makes_no_object_of_their_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, "first", "1-a", one="k-1")
    monkeypatch.setattr(record_files, "_parsed", None)
    assert [(each.name, each.ended) for each in each_summary(store)] == [("first", 1)]


def newer(path: Path, **changes: object) -> dict[str, object]:
    """Turn a record into one that a newer rmplug might have written."""
    data = json.loads(path.read_text())
    data |= {"format": 2, "queue": {"name": "night"}, **changes}
    for step in data["steps"].values():
        step |= {"gpu_memory_mb": 7, "status": "paused", "seconds": {"wall": 3}}
    path.write_text(json.dumps(data))
    return data


def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_understood(store: Store) -> None:
    path = write_record(store, record(store, "first", "1-a", one="k-1"))
    data = newer(path, status="asleep")
    found = read_record(path)
    assert (found.id, found.name, found.format) == ("1-a", "first", 2)
    assert found.note == (
        "written by a newer rmplug (record format 2, this one knows 1); "
        "shown as far as it is understood"
    )
    assert found.unknown == {"queue": {"name": "night"}, "status": "asleep"}
    assert found.steps["one"].artifact == "k-1"
    aside = {"gpu_memory_mb": 7, "status": "paused", "seconds": {"wall": 3}}
    assert found.steps["one"].unknown == aside
    assert record_data(found) == data


def test_a_new_entry_in_a_record_of_this_format_is_kept_aside(store: Store) -> None:
    path = write_record(store, record(store, "first", "1-a", one="k-1"))
    data = json.loads(path.read_text())
    data["steps"]["one"]["gpu_memory_mb"] = 7
    path.write_text(json.dumps(data))
    found = read_record(path)
    assert found.steps["one"].unknown == {"gpu_memory_mb": 7} and found.note == ""
    assert not found.is_understood and record_data(found) == data


def test_a_newer_record_that_cannot_be_read_at_all_says_so(store: Store) -> None:
    path = write_record(store, record(store, "first", "1-a", one="k-1"))
    newer(path, name=["first"])
    with pytest.raises(StoreError) as caught:
        read_record(path)
    assert str(caught.value).endswith(
        "(name: Field required): written by a newer rmplug (record format 2, this one knows 1)"
    )


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(store: Store) -> None:
    made = new_record("first", {}, "spec.yaml", 1)
    with live(store, made):
        assert is_live(store, made.id) and find_record(store, "last").status == "running"
    assert not is_live(store, made.id) and find_record(store, "last").status == "interrupted"


def test_the_previous_result_of_each_step_is_that_of_the_last_run_that_had_one(
    store: Store,
) -> None:
    record(store, "first", "20260101-000000-000-first-aa", one="k-1", two="k-2")
    record(store, "other", "20260102-000000-000-other-aa", one="k-9")
    record(store, "first", "20260103-000000-000-first-aa", one="k-3", two="")
    previous = PreviousSteps(store, "first")
    found = {name: previous.get(name) for name in ("two", "one", "three")}
    assert {name: step and step.artifact for name, step in found.items()} == {
        "one": "k-3",
        "two": "k-2",
        "three": None,
    }


def test_of_many_records_only_the_newest_are_read_and_only_when_a_step_asks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        record(store, "first", f"20260101-000000-{number:03d}-first-aa", one=f"k-{number}")
    read: list[Path] = []
    monkeypatch.setattr(
        "rmplug._store.run_records.read_record", lambda path: read.append(path) or read_record(path)
    )
    previous = PreviousSteps(store, "first")
    assert read == []
    step = previous.get("one")
    assert step is not None and step.artifact == "k-199" and len(read) == 1
    assert previous.get("new") is None and len(read) == 50
    assert pickle.loads(pickle.dumps(previous)).get("one") == step


def test_a_record_is_there_while_the_run_goes_on(tmp_path: Path) -> None:
    seen = []
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "bug"}}
    with pytest.raises(ZeroDivisionError):
        go(spec_of({"pairs": {"kind": "made-pairs"}, "fussy": fussy}), tmp_path)
    [path] = tmp_path.glob("runs/*/record.json")
    found = json.loads(path.read_text())
    seen.append((found["status"], found["steps"]["pairs"]["status"]))
    assert seen == [("failed", "done")] and found["steps"]["fussy"]["artifact"].startswith("fussy-")


def test_the_record_is_not_written_again_for_each_reused_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, str]] = []
    monkeypatch.setattr(RecordWriter, "PAUSE", 1e9)

    def note(record: RunRecord) -> bytes:
        written.append({step.id: step.status for step in record.steps.values()})
        return record_bytes(record)

    monkeypatch.setattr("rmplug._store.run_records.record_bytes", note)
    steps = {f"pairs-{n}": {"kind": "made-pairs", "params": {"rows": n}} for n in range(1, 9)}
    go(spec_of(steps), tmp_path)
    assert len(written) == 1 + 8 + 1  # when it begins, before each work, at the end
    written.clear()
    steps["words"] = {"kind": "lengths", "inputs": "pairs-1"}
    go(spec_of(steps), tmp_path)
    reused = dict.fromkeys((f"pairs-{n}" for n in range(1, 9)), "reused")
    assert written[2] == {**reused, "words": "running"}
    assert len(written) == 4 and written[-1] == {**reused, "words": "done"}


def test_a_run_is_found_by_the_beginning_of_its_name_after_whole_names(store: Store) -> None:
    for name, identity in (
        ("audit", "20260101-000000-000-audit-aa"),
        ("audit-long", "20260102-000000-000-audit-long-bb"),
        ("2026", "20260103-000000-000-2026-cc"),
        ("other", "20260104-000000-000-other-dd"),
    ):
        record(store, name, identity)
    meant = {name: find_record(store, name).name for name in ("audit", "audit-l", "aud", "2026")}
    assert meant == {
        "audit": "audit",
        "audit-l": "audit-long",
        "aud": "audit-long",
        "2026": "2026",
    }
    with pytest.raises(StoreError, match="no run 'oter' .*; did you mean 'other'"):
        find_record(store, "oter")
    with pytest.raises(StoreError, match="no run ''"):
        find_record(store, "")
