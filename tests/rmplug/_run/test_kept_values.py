"""What a model gave for a text: computed once, the same bytes for any number of workers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from run_specs import all_files, command, environment, go, lines, spec_of

from rmplug._cli.commands import main
from rmplug._store.gc import collect_garbage
from rmplug._store.kept_index import ASIDE
from rmplug._store.store import Store
from rmplug.errors import StepError
from rmplug.records import StepRecord


def spec(log: Path, rows: int = 60, workers: int = 1, **params: Any) -> dict[str, Any]:
    """Ask for the rewards of pairs, all of different texts."""
    steps = {
        "pairs": {"kind": "made-pairs", "params": {"rows": rows}},
        "model": {"kind": "remembering-model", "params": {"log": str(log), **params}},
        "ask": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
    }
    return dict(spec_of(steps, workers))


def rewards(finished: Any, step: str = "ask") -> list[float]:
    return list(finished[step].table["reward"].to_pylist())


def test_a_grown_data_set_costs_only_its_new_texts(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    first = go(spec(log), store)
    assert len(lines(log)) == 60
    record = first.record.steps["ask"]
    assert (record.texts_known, record.texts_computed) == (0, 60)
    log.unlink()
    second = go(spec(log, rows=66), store)
    assert len(lines(log)) == 6
    record = second.record.steps["ask"]
    assert (record.texts_known, record.texts_computed) == (60, 6)
    assert rewards(second)[:60] == rewards(first)  # what was kept, to the last digit
    assert [round(reward) for reward in rewards(second)] == [
        len(text[0]["content"]) for text in second["pairs"].table["chosen"].to_pylist()
    ]
    other = go(spec(log, rows=66, reward=2.0), store).record.steps["ask"]
    assert (other.texts_known, other.texts_computed) == (0, 66)


def looped(log: Path, workers: int) -> dict[str, Any]:
    """Steps that ask about the same texts: one after another, and in items of a loop at once; an
    item does not see what another one adds."""
    asked = {"model": "model", "data": "data"}
    body = {
        "data": {"kind": "made-pairs", "inputs": {"rows": "item"}},
        "ask": {"kind": "ask", "inputs": asked},
        "more": {"kind": "made-pairs", "params": {"rows": 20}, "inputs": {"first": "item"}},
        "again": {"kind": "ask", "inputs": {**asked, "data": "more"}},
    }
    names = ["ask", "again"]
    loop = {"values": [20, 30, 35], "collect": names, "steps": body}
    steps = {
        "model": {"kind": "remembering-model", "params": {"log": str(log)}},
        "some": {"kind": "made-pairs", "params": {"rows": 12}},
        "before": {"kind": "ask", "inputs": {**asked, "data": "some"}},
        "loop": {"kind": "for-each", "params": loop},
        "all": {"kind": "made-pairs", "params": {"rows": 60}},
        "after": {"kind": "ask", "inputs": {**asked, "data": "all"}},
    }
    return dict(spec_of(steps, workers))


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for workers in (1, 2):
        go(looped(log, workers), tmp_path / f"{workers}", only=["before"])
        finished = go(looped(log, workers), tmp_path / f"{workers}")
        record: StepRecord = finished.record.steps["loop"]
        assert (record.texts_known, record.texts_computed) == (3 * 12, 8 + 18 + 23 + 3 * 20)
        after = finished.record.steps["after"]
        assert (after.texts_known, after.texts_computed) == (55, 5)
    assert all_files(tmp_path / "1") == all_files(tmp_path / "2")


def test_rounds_know_what_the_rounds_before_them_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = {
        "ask": {"kind": "ask", "inputs": {"model": "model", "data": "pool"}},
        "left": {"kind": "later", "inputs": "pool"},
    }
    params = {"rounds": 3, "steps": body, "carry": {"pool": "left"}, "collect": ["ask"]}
    steps = {
        "pairs": {"kind": "made-pairs", "params": {"rows": 20}},
        "model": {"kind": "remembering-model", "params": {"log": str(log)}},
        "loop": {"kind": "repeat", "inputs": {"pool": "pairs"}, "params": params},
    }
    go(spec_of(steps), tmp_path / "store")
    assert len(lines(log)) == len(set(lines(log))) == 20


def test_a_step_that_goes_on_sees_what_it_saw_before(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    undisturbed = go(spec(log, rows=40), tmp_path / "whole")
    texts = lines(log)
    log.unlink()
    with pytest.raises(StepError, match="no score for"):
        go(spec(log, rows=40, refused=texts[25]), store)
    go(spec(log, rows=50), store)  # knows all texts of the step that failed
    log.unlink()
    finished = go(spec(log, rows=40), store)
    assert lines(log) == texts[20:]  # the shards that were committed are kept, others done again
    assert rewards(finished) == rewards(undisturbed)
    assert not list((store / "partial").iterdir())


def test_a_step_that_is_done_again_computes_again(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    go(spec(log), store)
    go(spec(log), store, force=True)
    assert len(lines(log)) == 120
    off = spec(log, rows=61)
    off["engine"]["params"]["keep_scores"] = False
    record = go(off, store).record.steps["ask"]
    assert len(lines(log)) == 181 and record.texts_known == record.texts_computed == 0
    assert len(list((store / "kept").rglob("*.parquet"))) == 1


def test_damaged_values_are_set_aside_and_computed_again(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    go(spec(log), store)
    [file] = (store / "kept").rglob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    finished = go(spec(log, rows=70), store)
    assert len(lines(log)) == 130
    assert rewards(finished)[:60] == pytest.approx(rewards(go(spec(log), store)), abs=1e-6)
    [notice] = finished.record.steps["ask"].notices
    assert notice["what"].startswith("kept values that are damaged") and notice["of"] == "files"
    assert file.with_name(file.name + ASIDE).is_file()


def test_two_runs_at_once_share_a_store(tmp_path: Path) -> None:
    env, store = environment(tmp_path / "site"), tmp_path / "store"
    processes = []
    for number in (1, 2):
        path = tmp_path / f"{number}.yaml"
        path.write_text(json.dumps(spec(tmp_path / f"log-{number}", rows=100 + number)))
        processes.append(subprocess.Popen(command(path, store), env=env, stderr=subprocess.DEVNULL))
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    log = tmp_path / "log"
    record = go(spec(log, rows=110), store).record.steps["ask"]
    assert (record.texts_known, record.texts_computed) == (102, 8)


def test_gc_keeps_values_with_the_runs_that_use_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, path = tmp_path / "log", tmp_path / "store"
    store = Store(path)
    go(spec(log), path)
    go(spec(log, reward=3.0), path)
    reusing = go(spec(log, rows=50, reward=3.0), path)  # adds nothing
    [folder] = reusing.record.steps["ask"].kept
    assert collect_garbage(store).names == []
    assert main(["gc", "--store", str(path), "--keep", "1", "--dry-run"]) == 0
    assert "scores of texts stay, 0.0 MB (--scores removes them)" in capsys.readouterr().out
    collect_garbage(store, keep=1)
    assert [kept.name for kept in store.kept.iterdir()] == [folder]
    assert go(spec(log, rows=50, reward=3.0), path).record.steps["ask"].kept == [folder]  # reused
    collect_garbage(store, keep=1)
    assert [kept.name for kept in store.kept.iterdir()] == [folder]
    assert main(["gc", "--store", str(path), "--scores"]) == 0
    assert "removed 1 results" in capsys.readouterr().out
    assert not list(store.kept.iterdir())


def test_show_tells_how_many_texts_were_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    go(spec(log), store)
    go(spec(log, rows=66), store)
    assert main(["show", "last", "--store", str(store)]) == 0
    assert "60 of 66" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["kept", "kept/{folder}", "kept/{folder}/a-1.0.parquet"])
def test_nothing_is_read_or_written_behind_a_link(tmp_path: Path, where: str) -> None:
    log, store, elsewhere = tmp_path / "log", tmp_path / "store", tmp_path / "elsewhere"
    go(spec(log), elsewhere)
    log.unlink()
    [folder] = (elsewhere / "kept").iterdir()
    [file] = folder.glob("*.parquet")
    target = {"kept": elsewhere / "kept", "kept/{folder}": folder}.get(where, file)
    link = store / where.format(folder=folder.name)
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    before = sorted(elsewhere.rglob("*"))
    go(spec(log, rows=70), store)
    assert len(lines(log)) == 70 and sorted(elsewhere.rglob("*")) == before


def test_a_pipe_among_kept_values_is_not_waited_for(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    go(spec(log, rows=20), store)
    [folder] = (store / "kept").iterdir()
    os.mkfifo(folder / "z-9.0.parquet")
    assert go(spec(log, rows=30), store).record.steps["ask"].texts_known == 20
