"""Paths as a person writes them, and the folder of the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_specs import KINDS
from run_specs import REGISTRY, go, spec_of

import rmplug
from rmplug._store.store_folder import new_store_note, open_store
from rmplug._store.user_paths import not_expanded, user_path
from rmplug.errors import RmplugError, StoreError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RMPLUG_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_the_home_folder_is_expanded_in_specs_and_stores(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_path("~/data") == home / "data" and user_path("~nobody-here") == Path(
        "~nobody-here"
    )
    assert open_store("~/store").root == home / "store"
    monkeypatch.setenv("RMPLUG_STORE", "~/named")
    assert open_store(None).root == home / "named"
    home.mkdir()
    (home / "spec.yaml").write_text("steps: {pairs: {kind: made-pairs}}")
    assert rmplug.check("~/spec.yaml", registry=REGISTRY) == []


@pytest.mark.parametrize("written", ["$DATA/a", "x/${DATA}", "%DATA%\\a"])
def test_a_variable_is_not_expanded_and_that_is_said(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", "secret")
    with pytest.raises(RmplugError, match=r"DATA.* is not expanded, so that a spec says") as e:
        open_store(written)
    assert "secret" not in str(e.value)


def test_a_file_that_is_really_called_so_is_taken(tmp_path: Path) -> None:
    (tmp_path / "$odd").mkdir()
    assert open_store("$odd").root == tmp_path / "$odd" and not_expanded("plain") == ""


def test_check_says_why_a_path_with_a_variable_is_not_there(tmp_path: Path) -> None:
    steps = {"pairs": {"kind": "some-pairs", "params": {"path": "$DATA/pairs.jsonl"}}}
    [problem] = rmplug.check({"steps": steps}, registry=KINDS)
    path = tmp_path / "$DATA/pairs.jsonl"
    assert problem.message.startswith(f"no such file or folder: {path}; $DATA is not expanded")


def test_a_run_that_begins_a_store_says_where_it_is_and_names_one_beside_the_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "specs/spec.yaml"
    go(spec_of({"pairs": {"kind": "made-pairs"}}), spec.parent / ".rmplug")
    other = tmp_path / "other"
    go(spec_of({"pairs": {"kind": "made-pairs"}}), other, verbose=True)
    assert capsys.readouterr().err.startswith(f"new store: {other} (name another with --store ")
    go(spec_of({"pairs": {"kind": "made-pairs"}}), other, verbose=True)
    assert "new store" not in capsys.readouterr().err
    note = new_store_note(open_store(None), spec)
    assert note.endswith(f"there is one beside the spec: --store {spec.parent / '.rmplug'} uses it")


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("s3://user:hush@bucket/store", "holds a password, which would be seen by whoever"),
        ("simplecache::s3://bucket/store", "leads through another file system"),
        ("s3://bucket/store?token=1", "holds more than a bucket and the names of folders"),
        ("s3://bucket/../other", "holds more than a bucket and the names of folders"),
        ("s3://", "or names none of its folders"),
    ],
)
def test_an_address_that_says_more_than_where_is_refused(
    named: str, why: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=f"{why}.*: write it as s3://bucket/folder; cr") as refused:
        rmplug.run(spec_of({"pairs": {"kind": "synthetic"}}), store=named)
    monkeypatch.setenv("RMPLUG_STORE", named)
    with pytest.raises(StoreError, match=why):
        rmplug.runs()
    assert "hush" not in str(refused.value) and not home.exists()


def test_an_address_is_the_same_store_however_it_is_written_and_mirrored_in_the_cache(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    written = [f"file://{tmp_path}/store", f"file://{tmp_path}/store/", f"FILE://{tmp_path}/store"]
    opened = [open_store(name) for name in [*written, Path(written[0])]]
    assert {store.name for store in opened} == {written[0]}
    [mirror] = {store.root for store in opened}
    assert mirror.parent == home / ".cache/rmplug/stores" and mirror.stat().st_mode & 0o77 == 0
    assert open_store(f"file://{tmp_path}/other").root != mirror
    monkeypatch.setenv("RMPLUG_MIRRORS", "~/mirrors")
    assert open_store(written[0]).root == home / "mirrors" / mirror.name


def test_the_file_system_of_an_address_that_is_not_installed_is_named(home: Path) -> None:
    with pytest.raises(StoreError, match="cannot open the store dropbox://x/y: .*; install it wit"):
        rmplug.runs("dropbox://x/y")
    with pytest.raises(StoreError, match="nothing://x/y: .*write s3://bucket/folder, or the path"):
        rmplug.runs("nothing://x/y")
