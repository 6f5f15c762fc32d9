"""What is removed from a store, and what stays: whatever a run that is known or alive refers to."""

from __future__ import annotations

import json
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
from run_specs import all_files, go, make, spec_of, statuses

from rmplug._store import run_records
from rmplug._store.gc import collect_garbage
from rmplug._store.kept import KeptView, folder_name
from rmplug._store.record_files import read_record
from rmplug._store.run_records import each_record, live, new_record, write_record
from rmplug._store.store import Store
from rmplug.records import RunRecord


def record_step(store: Store, artifact: str) -> None:
    """Write the record of a run that was interrupted while it made an artifact."""
    path = write_record(store, new_record("tested", {}, "spec.yaml", 0))
    step = {"id": "a", "kind": "k", "family": "f", "version": "1", "artifact": artifact}
    path.write_text(json.dumps({**json.loads(path.read_text()), "steps": {"a": step}}))


def test_gc_keeps_what_runs_refer_to_and_removes_the_rest(tmp_path: Path) -> None:
    loop = {"kind": "for-each", "params": {
        "values": [1, 2, 3],
        "collect": ["mean"],
        "steps": {
            "scaled": {"kind": "lengths", "inputs": {"data": "pairs", "scale": "item"}},
            "mean": {"kind": "mean", "inputs": ["scaled"]},
        },
    }}  # fmt: skip
    spec = spec_of({"pairs": {"kind": "made-pairs"}, "loop": loop})
    go(spec, tmp_path)
    before = all_files(tmp_path)
    store = Store(tmp_path)
    make(store, "orphan-1")
    store.begin("debris-1", {"rows": 1})
    assert collect_garbage(store, dry_run=True).names == ["orphan-1", "debris-1"]
    found = collect_garbage(store)
    assert (found.names, found.runs, found.kept) == (["orphan-1", "debris-1"], [], 1)
    assert found.bytes > 200
    assert all_files(tmp_path) == before
    assert list(store.partial.iterdir()) == []
    assert [path.name for path in store.locks.iterdir()] == ["gc.lock"]
    assert statuses(go(spec, tmp_path)) == {"pairs": "reused", "loop": "reused"}


def test_gc_can_forget_all_runs_but_the_last(tmp_path: Path) -> None:
    for rows in (5, 6, 7):
        go(spec_of({"pairs": {"kind": "made-pairs", "params": {"rows": rows}}}), tmp_path)
    store = Store(tmp_path)
    ids = [record.id for record in each_record(store)]
    found = collect_garbage(store, keep=1)
    assert found.runs == ids[:2] and [r.id for r in each_record(store)] == ids[2:]
    assert len(store.names()) == 1
    assert collect_garbage(store, keep=0).runs == ids[2:]
    assert store.names() == [] and list(each_record(store)) == []


def test_gc_holds_one_record_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[RunRecord]] = []
    most = 0

    def count(path: Path) -> RunRecord:
        nonlocal most
        most = max(most, sum(record() is not None for record in held))
        record = read_record(path)
        held.append(weakref.ref(record))
        return record

    for _ in range(4):
        write_record(store, new_record("named", {}, "", 0))
    monkeypatch.setattr(run_records, "read_record", count)
    collect_garbage(store)
    assert len(held) == 4 and most == 1  # the one before, until the next one is there


def test_gc_leaves_a_live_run_what_it_made_uses_and_makes(store: Store) -> None:
    make(store, "old-1")
    make(store, "reused-1")
    for key in ("old-1", "reused-1"):
        os.utime(store.artifacts / key, (1, 1))
    record = new_record("tested", {}, "spec.yaml", 0)
    with live(store, record):
        make(store, "new-1")
        store.touch("reused-1")
        store.begin("making-1", {"rows": 1})
        os.utime(store.partial / "making-1", (1, 1))
        with store.lock("making-1"):
            assert collect_garbage(store, keep=0).names == ["old-1"]
        assert [r.status for r in each_record(store)] == ["running"]
    assert [r.status for r in each_record(store)] == ["interrupted"]
    assert collect_garbage(store, keep=0).names == ["new-1", "reused-1", "making-1"]


def test_gc_keeps_the_shards_of_a_run_that_was_interrupted(store: Store) -> None:
    record_step(store, "made-1")
    store.begin("made-1", {"rows": 1})
    assert collect_garbage(store).names == []


def test_gc_keeps_what_models_gave_for_steps_that_failed(store: Store) -> None:
    record_step(store, "made-1")
    for number in range(40):  # of which most are put together
        for source, model in (("made-1", "a"), ("made-1", "b"), ("made-2", "b"), ("made-2", "c")):
            key = np.full((1, 2), number, np.uint64)
            KeptView(store.kept, source, frozenset()).add({"model": model}, key, np.zeros((1, 1)))
    assert collect_garbage(store).names == [folder_name({"model": "c"})]
    assert collect_garbage(store, keep=0).bytes > 0
    assert not list(store.kept.iterdir())


def test_gc_keeps_what_a_record_names_that_it_cannot_read(store: Store) -> None:
    for key in ("made-1", "made-2", "made-3", "made-4"):
        make(store, key)
    texts = {
        "20260101-a": '{"format": 2, "made": ["made-1.column"], "steps": 3}',
        "20260102-b": '{"steps": {"a": {"artifact": "made-2", "in',
    }
    for run, text in texts.items():
        (store.runs / run).mkdir()
        (store.runs / run / "record.json").write_text(text)
    path = write_record(store, new_record("tested", {}, "spec.yaml", 0))
    path.write_text(json.dumps({**json.loads(path.read_text()), "cache": {"made-3": 1}}))
    found = collect_garbage(store, keep=1)
    assert (found.names, found.runs, found.kept) == (["made-4"], [], 3)
    assert [note.partition(" ")[0] for note in found.notes] == [
        str(store.runs / run / "record.json") for run in texts
    ]
    (path.parent / "record.json").unlink()
    (path.parent / "record.json").mkdir()
    assert collect_garbage(store).names == []


def test_the_next_run_removes_what_a_killed_run_was_writing(tmp_path: Path) -> None:
    spec = spec_of({"pairs": {"kind": "made-pairs"}})
    killed = go(spec, tmp_path).record
    store = Store(tmp_path)
    alive = new_record("alive", {}, "", 1)
    with live(store, alive), store.lock("held-1"):
        debris = [
            store.runs / killed.id / ".record.json.77.tmp",
            store.partial / ".made-1.cut.7.tmp",
            store.partial / "made-1.cut",
        ]
        in_use = [store.runs / alive.id / ".record.json.78.tmp"]
        in_use += [store.partial / ".held-1.cut.8.tmp", store.partial / "held-1.cut"]
        for file in [*debris, *in_use]:
            file.write_text("half")
        go(spec, tmp_path)
        assert [file.exists() for file in debris] == [False] * 3
        assert all(file.exists() for file in in_use)


def test_gc_removes_files_that_killed_runs_were_writing(store: Store) -> None:
    dead, alive = (new_record(name, {}, "spec.yaml", 0) for name in ("dead", "alive"))
    write_record(store, dead)
    with live(store, alive), store.lock("held-1"):
        debris = [store.runs / dead.id / ".record.json.77.tmp", store.partial / ".made-1.cut.7.tmp"]
        debris.append(store.partial / "gone-1.cut")
        in_use = [store.runs / alive.id / ".record.json.78.tmp"]
        in_use += [store.partial / ".held-1.cut.8.tmp", store.partial / "held-1.cut"]
        for file in (*debris, *in_use):
            file.write_bytes(b"{")
        collect_garbage(store, dry_run=True)
        assert all(file.exists() for file in (*debris, *in_use))
        collect_garbage(store)
        assert [file for file in debris if file.exists()] == []
        assert all(file.exists() for file in in_use)


def test_gc_of_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert collect_garbage(Store(tmp_path / "none")).names == []
    assert list(tmp_path.iterdir()) == []
