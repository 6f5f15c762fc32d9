"""Artifacts on disk: whole or not there, verified, resumable, and what happens when disks fail."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from run_specs import all_files, assert_valid, go, lines, make, spec_of, statuses

from rmplug._store.files import checksum, guarded_plugin, is_held, write_file
from rmplug._store.gc import collect_garbage
from rmplug._store.reports import report_pages
from rmplug._store.store import Store
from rmplug.errors import StoreError
from rmplug.models.digests import known_checksum

EVERYTHING = {
    "pairs": {"kind": "made-pairs"},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "fit": {"kind": "line", "inputs": {"features": ["words"], "target": "words.rejected"}},
    "head": {"kind": "character-head", "inputs": "pairs", "params": {"weights": 9000}},
    "page": {"kind": "page", "inputs": ["words", "fit", "head"]},
}


def test_an_artifact_is_not_there_until_it_is_committed(store: Store) -> None:
    folder = store.begin("made-1")
    write_file(folder / "result.txt", b"half")
    assert store.find("made-1") is None
    assert store.commit("made-1", {"kind": "made"}) == store.find("made-1")
    assert store.manifest("made-1")["files"]["result.txt"]["bytes"] == 4
    assert list(store.partial.iterdir()) == []


def test_an_artifact_replaces_the_one_before_only_when_it_is_whole(store: Store) -> None:
    make(store, text="old")
    folder = store.begin("made-1")
    write_file(folder / "result.txt", b"new")
    assert (store.artifacts / "made-1" / "result.txt").read_text() == "old"
    store.commit("made-1", {})
    assert (store.artifacts / "made-1" / "result.txt").read_text() == "new"
    assert [path.name for path in store.artifacts.iterdir()] == ["made-1"]


@pytest.mark.parametrize(("seconds", "flushed"), [(0.0, False), (1.5, True)])
def test_only_what_took_long_to_make_is_flushed_to_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float, flushed: bool
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("os.fsync", calls.append)
    now = time.monotonic()
    with store.lock("made-1"):
        folder = store.begin("made-1")
        write_file(folder / "result.txt", b"x", flush=False)
        monkeypatch.setattr("time.monotonic", lambda: now + 60 + seconds)
        store._locked_at["made-1"] = now + 60
        store.commit("made-1", {"kind": "made"})
    assert bool(calls) is flushed
    assert Store(store.root).damage("made-1") == ""


def test_files_named_like_the_manifest_and_in_subfolders_have_checksums(tmp_path: Path) -> None:
    finished = go(spec_of(EVERYTHING), tmp_path)
    manifest = Store(tmp_path).manifest(finished.path("head").name)
    names = {"files/manifest.json", "files/deep/weights.bin", "numbers.json"}
    assert set(manifest["files"]) == names


def spoil_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("spoil", [spoil_byte, truncate, Path.unlink])
def test_damage_to_any_file_is_found_mended_and_told(tmp_path: Path, spoil: object) -> None:
    finished = go(spec_of(EVERYTHING), tmp_path)
    whole = all_files(tmp_path)
    keys = {finished.path(step).name: step for step in EVERYTHING}
    assert len(whole) > 15
    for name in whole:
        key, _, file = name.partition("/")
        spoil(tmp_path / "artifacts" / name)  # type: ignore[operator]
        again = go(spec_of(EVERYTHING), tmp_path)
        expected = {step: "rebuilt" if step == keys[key] else "reused" for step in EVERYTHING}
        assert statuses(again) == expected, name
        message = again.record.steps[keys[key]].message
        assert message.startswith("the stored result was damaged (") and file in message
        assert all_files(tmp_path) == whole, name


def test_a_manifest_that_is_no_json_or_of_another_shape_is_damage(store: Store) -> None:
    for text in ("", "{", "[]", "3", '{"files": 3}', "\0", '{"files": {}, "sha256": "0"}'):
        folder = make(store)
        (folder / "manifest.json").write_text(text)
        assert Store(store.root).damage("made-1") == "manifest.json is damaged", text


def test_what_an_earlier_attempt_left_is_kept_only_if_its_shards_were_cut_alike(
    store: Store,
) -> None:
    folder = store.begin("made-1", {"rows": 5})
    write_file(folder / "part", b"x")
    (folder / ".part-2.77.tmp").write_bytes(b"half")
    assert [p.name for p in store.begin("made-1", {"rows": 5}).iterdir()] == ["part"]
    assert list(store.begin("made-1", {"rows": 6}).iterdir()) == []
    write_file(folder / "part", b"x")
    assert list(store.begin("made-1").iterdir()) == []


def test_shards_survive_a_commit_that_was_killed_before_its_end(store: Store) -> None:
    folder = store.begin("made-1", {"rows": 5})
    write_file(folder / "part", b"x")
    (store.artifacts / "made-1").mkdir()
    (store.artifacts / "made-1" / "manifest.json").mkdir()
    (store.artifacts / ".made-1.doomed").mkdir()
    (store.artifacts / ".made-1.doomed").chmod(0o700)
    write_file(folder / "manifest.json", b"{}")
    folder = store.begin("made-1", {"rows": 5})
    assert (folder / "part").is_file()
    store.commit("made-1", {})
    assert Store(store.root).damage("made-1") == ""
    assert [path.name for path in store.artifacts.iterdir()] == ["made-1"]


def test_a_lock_is_held_by_one_process_at_a_time(store: Store) -> None:
    code = (
        "import sys; from rmplug._store.store import Store\n"
        f"store = Store({str(store.root)!r})\n"
        "with store.lock('made-1', lambda: print('waiting', flush=True)):\n"
        "    print('held', flush=True)"
    )
    with store.lock("made-1"):
        assert is_held(store.locks / "made-1.lock")
        other = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None and other.stdout.readline() == "waiting\n"
    assert other.communicate(timeout=20)[0] == "held\n"
    assert not is_held(store.locks / "made-1.lock")


def test_discard_removes_an_artifact_complete_or_not(store: Store) -> None:
    make(store)
    store.begin("made-2", {"rows": 1})
    store.discard("made-1")
    store.discard("made-2")
    assert store.names() == [] and list(store.partial.iterdir()) == []


def newer_manifest(store: Store, key: str) -> None:
    """Turn an artifact into one that a newer rmplug might have written."""
    path = store.artifacts / key / "manifest.json"
    content = {**json.loads(path.read_text()), "format": 2, "seal": "of another sort"}
    path.write_text(json.dumps(content))


def test_an_artifact_of_a_newer_version_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    finished = go(spec_of(EVERYTHING), tmp_path)
    newer_manifest(Store(tmp_path), finished.path("page").name)
    before = all_files(tmp_path)
    with pytest.raises(StoreError) as caught:
        go(spec_of(EVERYTHING), tmp_path)
    assert str(caught.value) == (
        f"steps.page (page): {finished.path('page') / 'manifest.json'} was written by a newer "
        "rmplug (manifest format 2, this one knows 1); use that version, or another store"
    )
    assert all_files(tmp_path) == before and collect_garbage(Store(tmp_path)).names == []
    assert report_pages(Store(tmp_path), finished.record) == []


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("this machine does not allow a test to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_store_is_refused_in_one_line_and_stays_valid(tmp_path: Path) -> None:
    spec = spec_of(EVERYTHING)
    with mounted(tmp_path / "disk", "size=8m") as disk:
        go(spec, disk / "store")
        before = all_files(disk / "store")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StoreError) as caught:
            go(spec, disk / "store")
        assert str(caught.value) == (
            f"cannot write the store {disk / 'store'}: the file system is read-only; "
            "name another folder with --store"
        )
        with pytest.raises(StoreError, match="file system is read-only"):
            go(spec, disk / "other")
        assert all_files(disk / "store") == before
        assert_valid(disk / "store")


def test_a_store_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        go(spec_of(EVERYTHING), tmp_path / "file" / "store")
    assert str(caught.value).endswith("/file/store: Not a directory")


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    steps = {
        "pairs": {"kind": "made-pairs", "params": {"rows": 4000}},
        "words": {"kind": "lengths", "inputs": "pairs", "params": {"log": str(tmp_path / "log")}},
        "head": {"kind": "character-head", "inputs": "pairs", "params": {"weights": 300_000}},
    }
    spec = spec_of(steps, shard_rows=100)
    undisturbed = go(spec, tmp_path / "undisturbed")
    (tmp_path / "log").unlink()
    failed = set()
    with mounted(tmp_path / "disk", "size=8m") as disk:
        for kilobytes in (8, 60, 150, 300, 350, 420, 560, 700, 800):
            subprocess.run(
                ["mount", "-o", f"remount,size={kilobytes}k", str(disk)], capture_output=True
            )
            try:
                go(spec, disk / "store")
            except StoreError as error:
                text = str(error)
                assert text.endswith("no space left on the device; free some and run again")
                assert "\n" not in text
                failed.add(text.partition(" ")[0])
            assert_valid(disk / "store")
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        go(spec, disk / "store")
        assert all_files(disk / "store") == all_files(tmp_path / "undisturbed")
        assert len(failed) > 1
    shards = [line.split()[1] for line in lines(tmp_path / "log")]
    assert len(set(shards)) == 40 and len(shards) <= 40 + 9
    assert len(undisturbed["words"].table) == 4000  # type: ignore[attr-defined]


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("step", EVERYTHING)
def test_a_write_that_fails_at_any_byte_leaves_a_valid_store(tmp_path: Path, step: str) -> None:
    spec, store = spec_of(EVERYTHING), tmp_path / "store"
    made = go(spec, store).path(step)
    whole = all_files(store)
    sizes = [path.stat().st_size for path in made.rglob("*") if path.is_file()]
    limits = {0, 1, *sizes, *(size - 1 for size in sizes), *range(300, max(sizes), 900)}
    places = set()
    for limit in sorted(limits):
        shutil.rmtree(made, ignore_errors=True)
        try:
            with file_size_limit(limit):
                go(spec, store)
        except StoreError as error:
            assert str(error).endswith("the file grew larger than allowed")
            assert "\n" not in str(error)
            places.add(str(error).partition(" (")[0])
        assert_valid(store)
    go(spec, store)
    assert all_files(store) == whole
    assert f"steps.{step}" in places


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), RuntimeError("io: No space left on device")]
)
def test_a_full_disk_is_told_as_such_whatever_a_library_raises(error: Exception) -> None:
    sentence = "cannot make it: no space left on the device; free some and run again"
    with pytest.raises(StoreError, match=sentence), guarded_plugin("make it"):
        raise error


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ValueError("a bug")])
def test_other_errors_of_a_plugin_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, guarded_plugin("make it"):
        raise error
    assert caught.value is error


def test_a_checksum_that_is_known_is_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"first")
    assert known_checksum(file) == known_checksum(file) == checksum(file)
    file.write_bytes(b"other")
    assert known_checksum(file) == checksum(file)


def test_an_artifact_is_flushed_where_folders_cannot_be_opened_nor_files_that_are_only_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []

    def fsync(descriptor: int) -> None:
        """As on Windows: what is open for reading only cannot be flushed."""
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flushed.append(True)

    monkeypatch.delattr(os, "O_DIRECTORY")
    monkeypatch.setattr(os, "fsync", fsync)
    with store.lock("made-1"):
        store._locked_at["made-1"] -= 60
        make(store)
    assert store.damage("made-1") == "" and len(flushed) == 3
