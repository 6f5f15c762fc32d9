"""A store that somebody else made is looked at and cleaned without harm to what is outside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from rmplug._cli.commands import main
from rmplug._store.files import to_json, write_file
from rmplug._store.gc import collect_garbage
from rmplug._store.reports import report_pages
from rmplug._store.run_records import find_record, new_record, write_record
from rmplug._store.serialize import read_artifact
from rmplug._store.store import Store, sealed
from rmplug.checks import Check
from rmplug.errors import StoreError, printable
from rmplug.records import StepRecord


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "victim/photos").mkdir(parents=True)
    (tmp_path / "victim/photos/a").write_text("x")
    return tmp_path / "victim"


def damaged(store: Store, **changes: object) -> str:
    """The id of a run whose record says something else."""
    record = new_record("theirs", {}, "spec.yaml", 0)
    path = write_record(store, record)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return record.id


@pytest.mark.parametrize("name", ["../../victim", "{outside}"])
def test_a_record_that_names_another_folder_removes_nothing_there(
    store: Store, outside: Path, name: str
) -> None:
    damaged(store, id=name.format(outside=outside))
    # of runs that began in the same millisecond, the last by name counts as the last
    write_record(store, new_record("yours", {}, "spec.yaml", 0))
    found = collect_garbage(store, keep=1)
    assert (outside / "photos/a").is_file()
    assert found.runs == []
    assert "it says that it is the run" in found.notes[0]


@pytest.mark.parametrize("name", ["artifacts", "partial", "runs", "kept"])
def test_a_store_whose_folder_is_a_link_is_not_cleaned(
    store: Store, outside: Path, name: str
) -> None:
    shutil.rmtree(store.root / name, ignore_errors=True)
    (store.root / name).symlink_to(outside)
    with pytest.raises(StoreError, match="is a link to elsewhere: gc removes nothing outside"):
        collect_garbage(store)
    assert (outside / "photos/a").is_file()


def test_a_linked_artifact_is_left_alone(store: Store, outside: Path) -> None:
    (store.artifacts / "made-1").symlink_to(outside)
    collect_garbage(store)
    assert (outside / "photos/a").is_file()


@pytest.mark.parametrize("linked", ["made-1", "made-1/work", "made-1/work/job.json"])
def test_unfinished_work_that_leads_elsewhere_is_begun_anew(
    store: Store, outside: Path, linked: str
) -> None:
    cut = {"keeps": "work"}
    (store.begin("made-1", cut) / "work").mkdir()
    link = store.partial / linked
    target = outside / "photos/a" if link.suffix else outside / "photos"
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(target)
    assert list(store.begin("made-1", cut).iterdir()) == []
    assert (outside / "photos/a").read_text() == "x"


def test_a_stored_result_with_a_link_is_made_again(store: Store, outside: Path) -> None:
    (store.begin("made-1") / "page.html").write_text("x")
    made = store.commit("made-1", {})
    assert Store(store.root).damage("made-1") == ""
    (made / "keys").symlink_to(outside)
    assert Store(store.root).damage("made-1") == "keys is a link to elsewhere"


@pytest.mark.parametrize(
    "entries",
    [
        {"type": 7},
        {"type": "Pairs"},
        {"parts": [-5]},
        {"files": 7},
        {"trainings": [[1, 2]]},
        {"seen": {"model": 7}},
        {"notices": [7]},
        {"notices": [{"what": "x", "action": "run"}]},
        {"ingredients": 7},
    ],
)
def test_a_sealed_manifest_of_another_shape_is_damage(
    store: Store, entries: dict[str, object]
) -> None:
    store.begin("made-1")
    made = store.commit("made-1", {})
    whole = {"type": "Fit", "tables": [], "files": {}, "format": 1}
    write_file(made / "manifest.json", sealed(to_json(whole)))
    assert Store(store.root).damage("made-1") == ""
    write_file(made / "manifest.json", sealed(to_json({**whole, **entries})))
    assert Store(store.root).damage("made-1") == "manifest.json is damaged"


@pytest.mark.parametrize("entry", ["../../page.html", "/etc/page.html", "", 7])
def test_a_page_outside_a_reports_files_is_refused(store: Store, entry: object) -> None:
    with pytest.raises(StoreError, match="names the page .* which is not in it"):
        read_artifact(store.root, {"type": "Report", "entry": entry}, "page", None)


def test_a_pipe_in_unfinished_work_is_not_waited_for(store: Store) -> None:
    os.mkfifo(store.begin("made-1", {}) / "told.jsonl")
    assert list(store.begin("made-1", {}).iterdir()) == []
    (store.partial / "made-1.cut").unlink()
    os.mkfifo(store.partial / "made-1.cut")
    assert list(store.begin("made-1", {}).iterdir()) == []


def test_texts_of_a_record_cannot_write_to_the_terminal(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record = new_record("theirs", {}, "spec.yaml", 0)
    step = StepRecord("a", "text:pairs-file", "dataset loader", "1", message="\x1b[31mX\u202e")
    step.notices = [{"what": "\x07", "action": "kept", "count": 1, "ids": []}, {"count": 2}]
    step.checks = [asdict(Check("\x1bscores", "float32", 8, 0.5, 0.25, 2.0, 4, 1)), {"rows": 2}]
    step.checks.append(step.checks[0] | {"largest": "much"})
    record.steps["a"] = step
    write_record(store, record)
    assert main(["show", record.id, "--store", str(store.root)]) == 0
    shown = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)
    assert "\\x1b[31mX\\u202e" in shown
    assert "a notice that cannot be read: {'count': 2}" in shown
    assert (
        "a: \\x1bscores of 8 rows differ from those of each row alone in float32 by at most "
        "5.0e-01 (standard deviation 2); 1 of 4 pairs flipped\n"
    ) in shown
    assert "a: a check that cannot be read: {'rows': 2}\n" in shown
    assert shown.count("a check that cannot be read") == 2


def test_lines_and_tabs_stay() -> None:
    assert printable("a\tb\nc\N{NO-BREAK SPACE}d ü") == "a\tb\nc\N{NO-BREAK SPACE}d ü"


def test_a_report_outside_the_store_is_not_named(store: Store) -> None:
    store.begin("html-1")
    (store.partial / "html-1/files").mkdir()
    store.commit("html-1", {"type": "Report", "entry": "../../../../page.html"})
    record = new_record("theirs", {}, "spec.yaml", 0)
    record.steps["a"] = StepRecord("a", "report:html", "reporter", "1", artifact="html-1")
    write_record(store, record)
    assert report_pages(store, find_record(store, "last")) == []


@pytest.mark.parametrize("line", [b"\xff\xfe", b'{"prompt":' + b"[" * 100_000 + b"}"])
def test_a_line_to_score_that_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(line + b"\n")
    code = "import sys; from rmplug.models.scorer import read_rows; list(read_rows(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "rows.jsonl")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.strip().splitlines()[-1].startswith("rmplug.errors.DataError: ")
    assert f"line 1 of {tmp_path / 'rows.jsonl'}: " in done.stderr
