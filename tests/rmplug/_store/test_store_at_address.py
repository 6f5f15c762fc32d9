"""A store at an address: what one machine makes, others use, whatever happens on the way."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3_server
from run_specs import LOOP, all_files, go, lines, spec_of, start, statuses, until_lines
from s3_server import machine, needs_server, new_address, objects, use, way_to

from rmplug._cli.commands import main
from rmplug._store import gc
from rmplug._store.files import to_json
from rmplug._store.kept import KeptView, publish, visible_sources
from rmplug._store.kept_merging import MOST_FILES
from rmplug._store.store import sealed
from rmplug._store.store_folder import open_store
from rmplug.errors import StoreError
from rmplug.models.kept import kept_rows
from rmplug.records import Usage

STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs", "params": {"rows": 60}},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "model": {"kind": "remembering-model"},
    "ask": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
    "fit": {"kind": "line", "inputs": {"features": ["words"], "target": "ask.reward"}},
    "page": {"kind": "page", "inputs": ["words", "fit"]},
}
SMALL = {name: STEPS[name] for name in ("pairs", "words")}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server.s3_server() as address:
        yield address


@pytest.fixture
def address(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new store; this machine has no mirror yet."""
    use(server, monkeypatch)
    machine(tmp_path / "here", monkeypatch)
    return new_address(server, tmp_path)


def artifacts_at(address: str) -> dict[str, bytes]:
    found = objects(address)
    return {n.removeprefix("artifacts/"): v for n, v in found.items() if n.startswith("artifacts/")}


def bytes_in(store: Path) -> dict[str, bytes]:
    return {name: (store / "artifacts" / name).read_bytes() for name in all_files(store)}


def test_another_machine_uses_what_one_has_made_byte_for_byte(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = {**LOOP, "params": {**LOOP["params"], "values": [1, 2]}}  # type: ignore[dict-item]
    spec = spec_of({**STEPS, "loop": loop})
    go(spec, tmp_path / "folder")
    go(spec, address)
    assert artifacts_at(address) == bytes_in(tmp_path / "folder")
    machine(tmp_path / "there", monkeypatch)
    again = go(spec, address)
    assert set(statuses(again).values()) == {"reused", "done"}
    assert {step.id for step in again.record.steps.values() if step.status == "done"} == {"model"}
    assert all_files(open_store(address).root) == all_files(tmp_path / "folder")
    assert "words lengths 60" in again.reports[0].read_text()
    assert len(again["words"]) == 60


def test_values_that_a_model_gave_on_one_machine_are_known_on_another(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"

    def asked(rows: int) -> Any:
        model = {"kind": "remembering-model", "params": {"log": str(log)}}
        pairs = {"kind": "made-pairs", "params": {"rows": rows}}
        return spec_of({"pairs": pairs, "model": model, "ask": STEPS["ask"]})

    go(asked(60), address)
    machine(tmp_path / "there", monkeypatch)
    record = go(asked(66), address).record.steps["ask"]
    assert (record.texts_known, record.texts_computed) == (60, 6)
    assert len(lines(log)) == 66


def tables_of(files: dict[str, bytes]) -> list[bytes]:
    """The tables, whatever the version of the plugin that is in their names."""
    return sorted(content for name, content in files.items() if name.endswith(".parquet"))


def runs_at(address: str) -> list[dict[str, Any]]:
    """The records of runs, the oldest first."""
    return [json.loads(text) for name, text in objects(address).items() if "record.json" in name]


def keep_value(store: Any, number: int) -> None:
    """Add the value of one text, as a step does."""
    source, made = f"ask-{number}", store.partial / f"ask-{number}"
    with KeptView(store.kept, source, frozenset()).in_use(Usage()) as keeping:
        text = str(number).encode()
        kept_rows(lambda: {"model": 1}, [text], lambda at: np.full(len(at), float(number)))
    keeping.write(made, "step")
    store.share_kept(*publish(made, store.kept, source))


def test_kept_files_that_are_put_together_replace_the_small_ones_at_the_address(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = open_store(address)
    for number in range(MOST_FILES):
        keep_value(ours, number)
    machine(tmp_path / "there", monkeypatch)
    theirs = open_store(address)
    theirs.pull_kept()
    assert len(list(theirs.kept.glob("*/*.parquet"))) == MOST_FILES
    keep_value(theirs, MOST_FILES)  # one too many: the smallest become one
    there = {path.relative_to(theirs.root).as_posix() for path in theirs.kept.rglob("*.*")}
    assert set(theirs.bucket.files("kept")) == there and len(there) < MOST_FILES
    machine(tmp_path / "third", monkeypatch)
    third = open_store(address)
    third.pull_kept()
    assert visible_sources(third.kept) == {f"ask-{number}" for number in range(MOST_FILES + 1)}


def test_two_steps_of_one_machine_send_kept_files_while_each_puts_them_together(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(address)

    def add(step: int) -> None:
        view = KeptView(store.kept, f"ask-{step}", frozenset(), store)
        for number in range(step * 30, step * 30 + 30):
            view.add({"model": 1}, np.full((1, 2), number, np.uint64), np.full(1, float(number)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, range(2)))
    machine(tmp_path / "there", monkeypatch)
    other = open_store(address)
    [folder] = store.kept.iterdir()
    index = KeptView(other.kept, "ask-2", frozenset(), other).index_of_all(folder.name)
    known, values = index.find(np.arange(60, dtype=np.uint64)[:, None].repeat(2, axis=1))
    assert known.all() and values.tolist() == list(range(60))


def slow(log: Path, workers: int = 1) -> dict[str, Any]:
    words = {**STEPS["words"], "params": {"pause": 0.1, "log": str(log)}}
    pairs = {"kind": "made-pairs", "params": {"rows": 160}}
    return dict(spec_of({"pairs": pairs, "words": words}, workers))


def test_a_run_that_was_killed_goes_on_from_other_machines_two_of_them_at_once(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    killed = start(slow(log, workers=2), address, tmp_path)
    until_lines(log, 6, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert not any("lengths-" in name for name in artifacts_at(address))
    going_on = []
    for name in ("there", "elsewhere"):
        machine(tmp_path / name, monkeypatch)
        going_on.append(start(slow(log), address, tmp_path))
    for process in going_on:
        told = process.communicate(timeout=60)[0]
        assert process.returncode == 0, told
    assert not [name for name in objects(address) if name.startswith("partial/")]
    runs = runs_at(address)
    assert [run["status"] for run in runs] == ["running", "finished", "finished"]
    computed = [run["steps"]["words"].get("computed", 0) for run in runs[1:]]
    assert 0 < max(computed) <= 160 - 10 * 4
    log.unlink()
    go(slow(log), tmp_path / "folder")
    assert tables_of(artifacts_at(address)) == tables_of(bytes_in(tmp_path / "folder"))


def test_results_that_are_damaged_at_the_address_are_made_anew_there(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of({**SMALL, "rank": {"kind": "rank", "inputs": "pairs"}})
    made = go(spec, address).record.steps
    whole, bucket = objects(f"{address}/artifacts"), open_store(address).bucket
    bucket.write(f"artifacts/{made['words'].artifact}/part-00002.parquet", b"PAR1 and no more")
    bucket.write(f"artifacts/{made['pairs'].artifact}/manifest.json", b'{"format": 1, "files": {}')
    bucket.remove([f"artifacts/{made['rank'].artifact}/part-00000.parquet"])
    machine(tmp_path / "there", monkeypatch)
    again = go(spec, address).record.steps
    assert {step.status for step in again.values()} == {"rebuilt"}
    told = "the stored result was damaged ({}) and is made anew"
    assert [again[name].message for name in ("words", "pairs", "rank")] == [
        told.format("the checksum of part-00002.parquet differs"),
        told.format("manifest.json is damaged"),
        told.format("part-00000.parquet is missing"),
    ]
    assert objects(f"{address}/artifacts") == whole


def test_a_result_that_is_damaged_in_the_mirror_is_fetched_anew(address: str) -> None:
    finished = go(spec_of(SMALL), address)
    part = finished.path("words") / "part-00002.parquet"
    whole = part.read_bytes()
    part.write_bytes(b"x")
    assert statuses(go(spec_of(SMALL), address)) == {"pairs": "reused", "words": "reused"}
    assert part.read_bytes() == whole


def test_a_strangers_manifest_writes_nothing_outside_its_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = go(spec_of(SMALL), address)
    key, store = finished.record.steps["words"].artifact, open_store(address)
    machine(tmp_path / "there", monkeypatch)
    other = open_store(address)
    before = set(tmp_path.rglob("*"))
    for name in ("../../../../victim", "/tmp/victim", "a//b", "files/..", "a\\b", ""):
        manifest = {**store.manifest(key), "files": {name: {"sha256": "0" * 64}}}
        store.bucket.write(f"artifacts/{key}/manifest.json", sealed(to_json(manifest)))
        assert other.find(key) is None
        assert other.damage(key) == f"{name!r} is no name of a file in it"
    for hostile in (f"../artifacts/{key}", "..", ".hidden", "a/b"):
        assert other.find(hostile) is None
    assert {path.name for path in set(tmp_path.rglob("*")) - before} == {f"{key}.fetched.lock"}


def test_a_result_of_a_newer_version_is_neither_read_nor_replaced(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = go(spec_of(SMALL), address).record.steps["words"].artifact
    bucket, name = open_store(address).bucket, f"artifacts/{key}/manifest.json"
    newer = (bucket.read(name) or b"").replace(b'"format": 1', b'"format": 2')
    bucket.write(name, newer)
    machine(tmp_path / "there", monkeypatch)
    with pytest.raises(StoreError, match="use that version, or another store"):
        go(spec_of(SMALL), address)
    assert bucket.read(name) == newer and b'"format": 2' in newer


def test_gc_removes_at_the_address_what_it_removes_here(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(spec_of(SMALL), address)
    before = set(artifacts_at(address))
    words = {**SMALL["words"], "params": {"scale": 2.0}}
    go(spec_of({**SMALL, "words": words}), address)
    machine(tmp_path / "there", monkeypatch)
    assert gc.collect_garbage(open_store(address), keep=1).names == []  # it may be in use elsewhere
    assert [name for name in objects(address) if name.startswith("runs/")][1:] == []
    monkeypatch.setattr(gc, "MARGIN", -100.0)
    store = open_store(address)
    assert gc.collect_garbage(store, dry_run=True).names != []
    found = gc.collect_garbage(store)
    gone = before - set(artifacts_at(address))
    assert {name.partition("/")[0] for name in gone} == set(found.names)
    assert len(found.names) == 1 and found.bytes > 1000
    machine(tmp_path / "here", monkeypatch)
    assert statuses(go(spec_of({**SMALL, "words": words}), address))["words"] == "reused"


def test_shards_are_shared_by_their_cut_until_some_run_has_finished_the_result(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, other_cut = {"size": 10}, {"size": 20}
    ours = open_store(address)
    (ours.begin("made-1", cut) / "part-00000.parquet").write_bytes(b"ours")
    ours.share("made-1", cut, ["part-00000.parquet"])
    there = next(iter(ours.bucket.files("partial"))).rpartition("/")[0]
    ours.bucket.write(f"{there}/strange", b"theirs")
    machine(tmp_path / "there", monkeypatch)
    theirs = open_store(address)
    assert list(theirs.begin("made-1", other_cut).iterdir()) == []
    folder = theirs.begin("made-1", cut)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "part-00000.parquet": b"ours"
    }
    ours.commit("made-1", {})
    with pytest.raises(StoreError, match="another run has finished it and removed them; run aga"):
        theirs.gather("made-1", cut, ["part-00001.parquet"])
    assert theirs.find("made-1") is not None


def test_a_mirror_can_be_removed_and_what_was_not_sent_is_sent_later(
    address: str, tmp_path: Path
) -> None:
    go(spec_of(SMALL), address)
    whole = objects(f"{address}/artifacts")
    store = open_store(address)
    store.removed([store.artifacts / key for key in store.names()])
    assert objects(f"{address}/artifacts") == {}
    go(spec_of(SMALL), address)
    assert objects(f"{address}/artifacts") == whole


def test_forced_steps_are_made_again_though_they_were_only_just_fetched(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(spec_of(SMALL), address)
    machine(tmp_path / "there", monkeypatch)
    monkeypatch.setattr("rmplug._store.bucket._modified", lambda facts: 1e9)
    again = go(spec_of(SMALL), address, only=["words"], force=True)
    assert statuses(again) == {"pairs": "reused", "words": "done"}


@needs_server
@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("cut", "is finished is kept: run again when it can be reached"),
        ("refuse", "check the credentials that this machine uses"),
    ],
)
def test_a_connection_that_fails_while_a_result_is_sent_is_a_sentence_and_half_of_it_is_nothing(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    found: str, told: str,
) -> None:  # fmt: skip
    def judge(line: str) -> str:
        return found if line.startswith("PUT ") and "lengths-" in line and "00004" in line else ""

    with way_to(server, judge) as way:
        use(way, monkeypatch)
        with pytest.raises(StoreError, match=f"cannot write the store {address}: ") as failed:
            go(spec_of(SMALL), address)
    assert told in str(failed.value) and "a-secret" not in str(failed.value)
    use(server, monkeypatch)
    assert not [name for name in artifacts_at(address) if "lengths-" in name and "json" in name]
    [record] = [text for name, text in objects(address).items() if name.startswith("runs/")]
    assert json.loads(record)["status"] == "failed" and b"a-secret" not in record
    go(spec_of(SMALL), address)
    go(spec_of(SMALL), tmp_path / "folder")
    assert artifacts_at(address) == bytes_in(tmp_path / "folder")


@needs_server
def test_a_bucket_that_is_not_there_is_told_before_anything_runs(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match="^cannot write the store s3://nobody/x: .*make the buck"):
        go(spec_of(SMALL), "s3://nobody/x")  # type: ignore[arg-type]
    assert main(["runs", "--store", "s3://nobody/x"]) == 2
    assert "make the bucket, or name another store with --store" in capsys.readouterr().err
    assert main(["runs", "--store", address]) == 0
    assert f"no runs in {address}" in capsys.readouterr().out
