"""Runs in Python: listed, opened again, and shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from run_specs import REGISTRY, go, spec_of

import rmplug
from rmplug._run.finished import Run
from rmplug._store.store import Store

STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs"},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "model": {"kind": "character-model"},
    "mean": {"kind": "mean", "inputs": ["words"]},
    "line": {"kind": "line", "inputs": {"features": ["words"], "target": "words.rejected"}},
    "loop": {
        "kind": "for-each",
        "params": {
            "values": [1, 2],
            "steps": {
                "mean": {"kind": "mean", "inputs": {"features": ["words"], "offset": "item"}}
            },
            "collect": ["mean"],
        },
    },
    "page": {"kind": "page", "inputs": ["mean"]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(store: Path) -> Run:
    return go(spec_of(STEPS), store)


@pytest.fixture
def opened(finished: Run, store: Path) -> Run:
    return rmplug.open_run("tested", store, REGISTRY)


def test_an_opened_run_has_the_results_that_the_run_had(finished: Run, opened: Run) -> None:
    assert set(opened) == set(finished) - {"model"}
    for name in ("pairs", "words", "mean", "loop.mean"):
        mine, theirs = opened[name], finished[name]
        assert isinstance(mine, rmplug.Tabular) and isinstance(theirs, rmplug.Tabular)
        assert mine.table.equals(theirs.table)
    assert opened.reports == finished.reports and opened.path("line") == finished.path("line")


def test_numbers_of_a_run_are_found_by_their_names(opened: Run) -> None:
    number = opened.numbers["mean", "mean words.chosen"]
    mean = opened["mean"]
    assert isinstance(mean, rmplug.Metrics)
    assert number.value == mean["value"][0].as_py() and number.n == 40
    assert mean.numbers["mean words.chosen"] == number
    assert opened.numbers["loop.mean", "2", "mean words.chosen"].value == number.value + 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("model", "'model' loads a model where it is used, and keeps none; use rmplug.load"),
        ("meen", "no step 'meen'; did you mean 'mean'?"),
        ("words.chosn", "no column 'chosn'"),
    ],
)
def test_a_result_that_is_not_there_is_explained(opened: Run, name: str, sentence: str) -> None:
    with pytest.raises((KeyError, rmplug.DataError), match="chosn|model|meen") as caught:
        table = opened[name]
        assert isinstance(table, rmplug.Tabular)
        table.table  # noqa: B018 - read now
    assert sentence in str(caught.value)


def test_a_result_that_is_gone_says_to_run_again(tmp_path: Path) -> None:
    finished = go(spec_of({"pairs": STEPS["pairs"]}), tmp_path)
    Store(tmp_path).discard(finished.path("pairs").name)
    with pytest.raises(KeyError, match="'pairs' is gone from the store; run the spec again"):
        rmplug.open_run("last", tmp_path, REGISTRY)["pairs"]


def test_runs_are_listed_as_lines_and_as_a_table(finished: Run, store: Path) -> None:
    listed = rmplug.runs(store)
    assert [run.id for run in listed] == [finished.record.id]
    assert f"<1 runs\n{finished.record.id}: finished in " in repr(listed)
    assert f"<td>{finished.record.id}</td>" in listed._repr_html_()


def test_what_python_shows_can_be_read(opened: Run) -> None:
    assert repr(opened["pairs"]).startswith("<Pairs pairs: 40 rows; id, group, prompt, chosen, ")
    assert repr(opened["mean"]).splitlines()[1].startswith("  mean / mean words.chosen / all: ")
    assert repr(opened["line"]).startswith(f"<Fit line: {opened.path('line')}")
    assert repr(opened["page"]) == f"<Report page: {opened.reports[0]}>"
    assert repr(rmplug.Value([1], "item")) == "<Value item: a list>"
    assert "finished: pairs: done, model: done" in repr(opened)


def test_a_notebook_shows_a_run_with_what_it_found(finished: Run, opened: Run) -> None:
    words = {"headline": "All <b>well</b>", "findings": [{"about": "a", "text": "more"}]}
    (finished.reports[0].parent / "metrics.json").write_text(json.dumps(words))
    page = opened._repr_html_()
    assert "All &lt;b&gt;well&lt;/b&gt;" in page and "<li>more</li>" in page
    assert opened.headline == "All <b>well</b>" and opened.findings == ["more"]


def test_check_returns_each_problem_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("steps:\n  pairs:\n    kind: made-pair\n")
    [problem] = rmplug.check(path, registry=REGISTRY)
    assert (problem.line, problem.column, problem.path) == (3, 11, "steps.pairs.kind")
    assert repr(problem) == f"<Problem {path}:3:11: steps.pairs.kind: {problem.message}>"
    assert rmplug.check(path, assign=["steps.pairs.kind=made-pairs"], registry=REGISTRY) == []
    [absent] = rmplug.check(tmp_path / "none.yaml", registry=REGISTRY)
    assert absent.message == "no such file"


def test_tab_shows_what_is_imported_on_first_use() -> None:
    assert {"run", "load", "check", "runs", "open_run", "train", "Pairs"} <= set(dir(rmplug))
    assert not {"TYPE_CHECKING", "annotations", "Any"} & set(dir(rmplug))


@pytest.mark.parametrize(
    ("options", "lines"), [({}, 0), ({"quiet": True}, 0), ({"verbose": True}, 4)]
)
def test_python_shows_progress_where_it_is_asked_for(
    tmp_path: Path, options: dict[str, bool], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    go(spec_of({"pairs": STEPS["pairs"]}), tmp_path, **options)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_notebook_has_its_progress_below_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ipykernel", "IPython"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    go(spec_of({"pairs": STEPS["pairs"]}), tmp_path)
    out, err = capsys.readouterr()
    assert out.startswith("new store: ") and "\n✓ pairs" in out and err == ""
