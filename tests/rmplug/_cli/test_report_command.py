"""The command ``report``: the page of any run, and two runs on one page."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rmplug import run
from rmplug._cli.commands import main
from rmplug._cli.report_command import _page_of
from rmplug._kinds.registry import discover
from rmplug._run.recorded import RecordedRun
from rmplug._run.run import Run
from rmplug._store.gc import collect_garbage
from rmplug._store.record_files import read_record
from rmplug._store.store import Store

ROWS = [
    {"prompt": f"Question {i}?", "chosen": "word " * (i % 7 + 2), "rejected": "no " * (i % 5 + 1),
     "score": (i % 7) + 0.1 * (i % 11)}
    for i in range(60)
]  # fmt: skip
STEPS: dict[str, Any] = {
    "pairs": {"kind": "pairs-file", "params": {"path": "pairs.jsonl"}},
    "words": {"kind": "lexical", "inputs": "pairs", "params": {"measures": ["words"]}},
    "why": {
        "kind": "sklearn",
        "inputs": {"features": ["words"], "target": "pairs.score"},
        "params": {
            "name": "Ridge",
            "args": {"alpha": 1},
            "refits": 0,
            "dependence": 0,
            "folds": 2,
            "importance_repeats": 1,
        },
    },
    "each": {
        "kind": "for-each",
        "params": {
            "values": [5, 6],
            "collect": ["some"],
            "steps": {"some": {"kind": "random", "inputs": {"data": "pairs", "n": "item"}}},
        },
    },
}
PAGE = {
    "kind": "html",
    "inputs": ["words", "why"],
    "params": {"plots": {"why.residual": ["words.prompt.words"]}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three runs, whose data is gone afterwards."""
    folder = tmp_path_factory.mktemp("reported")
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    path = f"steps.pairs.params.path={data}"
    go(folder, {"name": "with-page", "steps": {**STEPS, "page": PAGE}}, path)
    go(folder, {"name": "plain", "seed": 3, "steps": STEPS}, path)
    go(
        folder,
        {"name": "plain", "seed": 3, "steps": STEPS},
        path,
        "steps.why.params.args.alpha=900",
    )
    data.unlink()
    return folder


def go(folder: Path, spec: dict[str, Any], *assign: str) -> Run:
    engine = {"kind": "local", "params": {"workers": 1}}
    return run({**spec, "engine": engine}, assign=assign, store=folder / "store")


def digests(folder: Path) -> dict[str, str]:
    """Every file under a folder, with a hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def command(folder: Path, *words: str) -> int:
    return main(["report", *words, "--store", str(folder / "store")])


def numbers(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_the_page_of_a_run_with_a_page_is_that_page(folder: Path, tmp_path: Path) -> None:
    assert command(folder, "with-page", "--out", str(tmp_path / "page")) == 0
    [own] = (folder / "store/artifacts").glob("html-*/files")
    assert digests(tmp_path / "page") == digests(own)
    assert "index.html" in digests(own)


def test_a_run_without_a_page_has_one_with_all_its_results_and_the_store_stays_as_it_is(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = digests(folder / "store")
    assert command(folder) == 0
    assert digests(folder / "store") == before
    [page] = tmp_path.glob("*-plain-*-report/index.html")
    assert capsys.readouterr().out == f"report: {page.relative_to(tmp_path)}\n"
    told = numbers(page.parent)
    assert {(one["name"], one["rows"]) for one in told["data"]} == {
        ("pairs", 60),
        ("each.some", 11),
    }
    assert [fit["name"] for fit in told["fits"]] == ["why"]
    text = page.read_text(encoding="utf-8")
    assert "4 steps led to this report, seed 3." in text
    assert "&#34;path&#34;: &#34;pairs.jsonl&#34;" in text and str(folder) not in text
    assert main(["report", "--store", str(folder / "store"), "--out", str(page.parent)]) == 2
    assert "is there already; name a new folder with --out" in capsys.readouterr().err


def test_an_empty_folder_is_taken_where_no_folder_can_be_moved_onto_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def like_windows(self: Path, target: Path) -> Path:
        if target.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", like_windows)
    (tmp_path / "page").mkdir()
    assert command(folder, "with-page", "--out", str(tmp_path / "page")) == 0
    assert "index.html" in digests(tmp_path / "page")


def test_two_runs_stand_on_one_page_with_the_interval_of_each_difference(
    folder: Path, tmp_path: Path
) -> None:
    first, second = sorted(path.name for path in (folder / "store/runs").glob("*-plain-*"))
    assert command(folder, first, second, "--out", str(tmp_path / "two")) == 0
    rows = {row["what"]: row for row in numbers(tmp_path / "two")["metrics"]}
    assert (rows["id"]["first"], rows["id"]["second"]) == (first, second)
    changed = rows["steps.why.params.args.alpha"]
    assert (changed["where"], changed["first"], changed["second"]) == ("spec", "1", "900")
    r2 = rows["why / r2 / all"]
    assert r2["value"] == pytest.approx(r2["second_value"] - r2["first_value"])
    assert r2["value"] < -0.1 and r2["low"] < r2["value"] < r2["high"]
    assert r2["n"] == 60
    text = (tmp_path / "two/index.html").read_text(encoding="utf-8")
    assert "Explained variance (R²), first and second run" in text
    assert "Results of two runs of plain." in text


def test_what_cannot_be_shown_is_said_in_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path / "page"))
    for words, said in (
        (("a", "b", "c", *out), "rmplug: report takes one run, or two to compare, not 3\n"),
        (("plian", *out), "rmplug: no run 'plian' in"),
        (("plain", "--disable", "report", *out), "rmplug: unknown kind 'html'"),
    ):
        assert command(folder, *words) == 2
        assert capsys.readouterr().err.startswith(said)
    assert not (tmp_path / "page").exists()


def test_results_that_are_gone_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = {"kind": "synthetic", "params": {"size": 20}}
    words = {"kind": "lexical", "inputs": "pairs", "params": {"measures": ["words"]}}
    done = run({"name": "x", "steps": {"pairs": pairs, "words": words}}, store=tmp_path / "store")
    store = Store(tmp_path / "store")
    store.discard(done.record.steps["words"].artifact)
    assert command(tmp_path, "x", "--out", str(tmp_path / "page")) == 0
    assert "left out: words: its result is no longer in the store\n" in capsys.readouterr().out
    page = {**PAGE, "params": {"plots": {"words.chosen.words": ["pairs.subset"]}}}
    page["inputs"] = ["pairs", "words"]
    steps = {"pairs": pairs, "words": words, "page": page}
    run({"name": "part", "steps": steps}, only=["pairs"], store=tmp_path / "store")
    assert command(tmp_path, "part", "--out", str(tmp_path / "part")) == 0
    assert "the parameters of its page, which need all that it shows" in capsys.readouterr().out
    store.discard(done.record.steps["pairs"].artifact)
    collect_garbage(store, None, False)
    assert command(tmp_path, "x", "--out", str(tmp_path / "none")) == 2
    assert "has no result to show: its result is no longer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "notices"),
    [([1], []), ({"pairs": 3, "odd": "x"}, [{"a": 1}]), ({"pairs": {"params": "x"}}, [])],
)
def test_a_damaged_record_has_a_page_of_what_can_be_read(
    tmp_path: Path, steps: Any, notices: list[Any]
) -> None:
    store = Store(tmp_path / "store")
    pairs = {"kind": "synthetic", "params": {"size": 20}}
    run({"name": "x", "steps": {"pairs": pairs}}, store=store.root)
    [path] = store.root.glob("runs/*/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    record["spec"]["steps"], record["steps"]["pairs"]["notices"] = steps, notices
    path.write_text(json.dumps(record), encoding="utf-8")
    recorded = RecordedRun(store, read_record(path), discover())
    refs, params = _page_of(recorded)
    assert [str(ref) for ref in refs] == ["pairs"] and params == {}
    assert recorded.plan(refs).steps[0].notices == []


def test_a_step_that_was_killed_is_left_out_as_unfinished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = {"kind": "synthetic", "params": {"size": 20}}
    words = {"kind": "lexical", "inputs": "pairs", "params": {"measures": ["words"]}}
    done = run({"name": "x", "steps": {"pairs": pairs, "words": words}}, store=tmp_path / "store")
    store = Store(tmp_path / "store")
    store.discard(done.record.steps["words"].artifact)
    [path] = store.root.glob("runs/*/record.json")
    record = json.loads(path.read_text(encoding="utf-8")) | {"status": "running", "seconds": 0.0}
    record["steps"]["words"]["status"] = "running"
    path.write_text(json.dumps(record), encoding="utf-8")
    recorded = RecordedRun(store, read_record(path), discover())
    assert recorded.gone == {"words": "it did not finish"}
    assert main(["show", "x", "--store", str(store.root)]) == 0
    assert ": interrupted after 0.0 s or more, seed " in capsys.readouterr().out
