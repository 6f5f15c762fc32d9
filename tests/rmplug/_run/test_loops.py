"""Steps made of steps: items and rounds are cached, resumed and run in parallel."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from run_specs import (
    all_files,
    assert_valid,
    command,
    environment,
    go,
    lines,
    planned,
    spec_of,
    statuses,
)
from test_kill import finish, kill, start, until

from rmplug._run.finished import Run
from rmplug._run.scope import Scope
from rmplug._run.session import Session
from rmplug._run.step import Prepared
from rmplug._run.workers import Workers
from rmplug._spec.graph import Node
from rmplug.errors import SpecError, StepError

PAIRS = {"kind": "made-pairs", "params": {"rows": 20}}


def for_each(steps: dict[str, Any], collect: list[str], **params: Any) -> dict[str, Any]:
    items = params.pop("items", None)
    loop = {"kind": "for-each", "params": {"steps": steps, "collect": collect, **params}}
    return {**loop, "inputs": {"items": items}} if items else loop


def scaled(log: Path | None = None) -> dict[str, Any]:
    """A mean of lengths, scaled by the item."""
    told = {"log": str(log)} if log else {}
    return {
        "words": {"kind": "lengths", "inputs": {"data": "pairs", "scale": "item"}},
        "mean": {"kind": "mean", "inputs": ["words"], "params": told},
    }


def means(finished: Run, name: str = "loop") -> dict[str, float]:
    rows = finished[name].table.to_pylist()  # type: ignore[attr-defined]
    return {row["item"]: row["value"] for row in rows if row["metric"].endswith("chosen")}


def test_each_value_sets_a_parameter_and_the_results_are_put_together(tmp_path: Path) -> None:
    spec = spec_of({"pairs": PAIRS, "loop": for_each(scaled(), ["mean"], values=[1, 2, 10])})
    finished = go(spec, tmp_path)
    found = means(finished)
    assert list(found) == ["1", "2", "10"]
    assert found["10"] == pytest.approx(10 * found["1"]) and found["1"] > 5
    loop = finished.record.steps["loop"]
    assert [(i["item"], i["status"]) for i in loop.items] == [(k, "done") for k in found]
    assert statuses(go(spec, tmp_path)) == {"pairs": "reused", "loop": "reused"}


def test_entries_of_a_value_set_parameters_and_the_seed(tmp_path: Path) -> None:
    steps = {
        "words": {"kind": "lengths", "inputs": {"data": "pairs", "scale": "item.scale"}},
        "fit": {
            "kind": "line",
            "inputs": {"features": ["words"], "target": "words.chosen", "seed": "item.seed"},
        },
        "told": {"kind": "mean", "inputs": ["fit.prediction"]},
    }
    values = [{"scale": 1, "seed": 1}, {"scale": 1, "seed": 2}, {"scale": 2, "seed": 2}]
    loop = for_each(steps, ["told"], values=values)
    finished = go(spec_of({"pairs": PAIRS, "loop": loop}), tmp_path)
    rows = finished["loop"].table.to_pylist()  # type: ignore[attr-defined]
    assert [row["item"] for row in rows] == ["scale=1,seed=1", "scale=1,seed=2", "scale=2,seed=2"]
    first, second, third = (row["value"] for row in rows)
    assert first != second and first == pytest.approx(second, rel=1e-4)
    assert third == pytest.approx(2 * second, rel=1e-4)


def test_steps_can_be_the_items(tmp_path: Path) -> None:
    steps = {
        "pairs": PAIRS,
        "few": {"kind": "later", "inputs": "pairs", "params": {"skip": 15}},
        "loop": for_each(
            {"words": {"kind": "lengths", "inputs": "item"}}, ["words"], items=["pairs", "few"]
        ),
    }
    table = go(spec_of(steps), tmp_path)["loop"].table  # type: ignore[attr-defined]
    assert table["item"].to_pylist() == ["pairs"] * 20 + ["few"] * 5
    assert table["id"].to_pylist()[-1] == "few/p0000019"
    assert len(set(table["id"].to_pylist())) == 25


def test_the_parts_of_a_table_can_be_the_items(tmp_path: Path) -> None:
    pairs = {"kind": "made-pairs", "params": {"rows": 20, "item_size": 8}}
    loop = for_each({"words": {"kind": "lengths", "inputs": "item"}}, ["words"], items="pairs")
    spec = spec_of({"pairs": pairs, "loop": loop, "mean": {"kind": "mean", "inputs": ["loop"]}})
    assert planned(spec, tmp_path) == {
        "pairs": "run: not done before",
        "loop": "run: it needs results that are not there yet",
        "mean": "run: it needs results that are not there yet",
    }
    finished = go(spec, tmp_path)
    table = finished["loop"].table  # type: ignore[attr-defined]
    assert table["item"].to_pylist() == ["part-0"] * 8 + ["part-1"] * 8 + ["part-2"] * 4
    assert table["id"].to_pylist() == [f"p{number:07d}" for number in range(20)]
    names = finished["mean"].table["metric"].to_pylist()  # type: ignore[attr-defined]
    assert names == ["mean loop.chosen", "mean loop.rejected"]
    assert set(planned(spec, tmp_path).values()) == {"reuse: ", "reuse: all 3 items"}


def test_a_table_without_items_is_refused(tmp_path: Path) -> None:
    loop = for_each({"words": {"kind": "lengths", "inputs": "item"}}, ["words"], items="pairs")
    with pytest.raises(StepError, match=r"steps.loop .*: pairs has no column 'item' to make items"):
        go(spec_of({"pairs": PAIRS, "loop": loop}), tmp_path)
    empty = {"kind": "made-pairs", "params": {"rows": 0, "item_size": 8}}
    with pytest.raises(StepError, match="pairs has no rows; every row must name the item"):
        go(spec_of({"pairs": empty, "loop": loop}), tmp_path)


def test_the_same_value_twice_is_refused_where_it_was_written(tmp_path: Path) -> None:
    spec = spec_of({"pairs": PAIRS, "loop": for_each(scaled(), ["mean"], values=[1, 2, 1])})
    with pytest.raises(SpecError, match="values: 1 is there 2 times"):
        go(spec, tmp_path)


def test_a_loop_collects_results_of_a_loop_inside(tmp_path: Path) -> None:
    rounds = {
        "kind": "repeat",
        "inputs": {"left": "pairs"},
        "params": {
            "rounds": 2,
            "carry": {"left": "rest"},
            "collect": ["words"],
            "steps": {
                "rest": {"kind": "later", "inputs": "left", "params": {"skip": 3}},
                "words": {"kind": "lengths", "inputs": {"data": "rest", "scale": "item"}},
            },
        },
    }
    loop = for_each({"rounds": rounds}, ["rounds.words", "rounds.left"], values=[1, 2])
    told = {"kind": "mean", "inputs": ["loop.rounds.words.chosen"]}
    spec = spec_of({"pairs": PAIRS, "loop": loop, "told": told})
    assert planned(spec, tmp_path)["loop"] == "run: 2 of 2 items"
    finished = go(spec, tmp_path)
    words = finished["loop.rounds.words"].table  # type: ignore[attr-defined]
    assert list(zip(words["item"].to_pylist(), words["round"].to_pylist(), strict=True)) == (
        [("1", "1")] * 17 + [("1", "2")] * 14 + [("2", "1")] * 17 + [("2", "2")] * 14
    )
    assert len(finished["loop.rounds.left"].table) == 28  # type: ignore[attr-defined]
    assert planned(spec, tmp_path)["loop"] == "reuse: all 2 items"


@pytest.mark.parametrize(
    ("collect", "message"),
    [
        ("rounds.wrods", "rounds.wrods: name one of its results: words, left"),
        ("wonders.left", "no step 'wonders' inside the loop (steps: rounds, other)"),
        ("other.chosen", "other.chosen: 'other' is no loop; name the step as a whole"),
    ],
)
def test_what_a_loop_cannot_collect_is_told(tmp_path: Path, collect: str, message: str) -> None:
    rest = {"kind": "later", "inputs": "left", "params": {"skip": 3}}
    rounds = {
        "kind": "repeat",
        "inputs": {"left": "pairs"},
        "params": {
            "rounds": 2,
            "carry": {"left": "rest"},
            "collect": ["words"],
            "steps": {"rest": rest, "words": {"kind": "lengths", "inputs": "rest"}},
        },
    }
    other = {"kind": "lengths", "inputs": "pairs"}
    loop = for_each({"rounds": rounds, "other": other}, [collect], values=[1])
    with pytest.raises(SpecError) as error:
        go(spec_of({"pairs": PAIRS, "loop": loop}), tmp_path)
    assert message in str(error.value)


def test_what_one_round_gives_is_what_the_next_one_takes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    repeat = {
        "kind": "repeat",
        "inputs": {"left": "pairs"},
        "params": {
            "rounds": 4,
            "carry": {"left": "rest"},
            "collect": ["words"],
            "steps": {
                "rest": {"kind": "later", "inputs": "left", "params": {"skip": 3, "log": str(log)}},
                "words": {"kind": "lengths", "inputs": "rest"},
            },
        },
    }
    steps = {"pairs": PAIRS, "loop": repeat, "last": {"kind": "rank", "inputs": "loop.left"}}
    assert planned(spec_of(steps), tmp_path / "store")["loop"] == "run: 4 of 4 rounds"
    finished = go(spec_of(steps), tmp_path / "store")
    assert lines(log) == ["sample 20", "sample 17", "sample 14", "sample 11"]
    rounds = finished["loop.words"].table["round"].to_pylist()  # type: ignore[attr-defined]
    assert rounds == ["1"] * 17 + ["2"] * 14 + ["3"] * 11 + ["4"] * 8
    assert len(finished["last"].table) == len(finished["loop.left"].table) == 8  # type: ignore[attr-defined]
    repeat["params"]["rounds"] = 5  # type: ignore[index]
    assert planned(spec_of(steps), tmp_path / "store")["loop"] == "run: 1 of 5 rounds"
    go(spec_of(steps), tmp_path / "store")
    assert lines(log)[4:] == ["sample 8"]
    with pytest.raises(KeyError, match="loop: name one of its results: words, left"):
        finished["loop"]


def test_a_loop_of_200_items_runs_in_parallel_and_is_reused_item_by_item(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    steps = {
        "common": {"kind": "lengths", "inputs": "pairs", "params": {"log": str(log)}},
        "mean": {"kind": "mean", "inputs": {"features": ["common"], "offset": "item"},
                 "params": {"log": str(log)}},
    }  # fmt: skip
    spec = spec_of(
        {"pairs": PAIRS, "loop": for_each(steps, ["mean"], values=list(range(200)))},
        workers=2,
        shard_rows=20,
    )
    assert planned(spec, store)["loop"] == "run: 200 of 200 items"
    finished = go(spec, store)
    assert len(means(finished)) == 200
    told = [line.split()[0] for line in lines(log)]
    assert told.count("mean") == 200
    assert told.count("shard") == 1, "a step that items share is done once"
    assert planned(spec, store)["loop"] == "reuse: all 200 items"
    spec["steps"]["loop"]["params"]["values"][7] = 1000
    assert planned(spec, store)["loop"] == "run: 1 of 200 items"
    again = go(spec, store)
    assert [i["item"] for i in again.record.steps["loop"].items if i["status"] != "reused"] == [
        "1000"
    ]
    assert len(lines(log)) == 202


def test_a_loop_whose_results_are_there_starts_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(workers: Workers, count: int) -> None:
        raise AssertionError("worker processes were started")

    loop = for_each(scaled(), ["mean"], values=[1, 2, 10])
    spec = spec_of({"pairs": PAIRS, "loop": loop}, workers=2)
    go(spec, tmp_path)
    monkeypatch.setattr(Workers, "__init__", refuse)
    assert go(spec, tmp_path).record.steps["loop"].status == "reused"
    loop["params"]["values"].append(11)
    go(spec, tmp_path)  # one item has work to do: this process does it
    loop["params"]["values"] += [12, 13]
    with pytest.raises(AssertionError, match="worker processes were started"):
        go(spec, tmp_path)


def test_an_item_is_planned_only_as_far_as_its_first_step_with_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    prepare = Session.prepare

    def count(session: Session, node: Node, scope: Scope) -> Prepared:
        prepared.append(node.id)
        return prepare(session, node, scope)

    monkeypatch.setattr(Session, "prepare", count)
    go(spec_of({"pairs": PAIRS, "loop": for_each(scaled(), ["mean"], values=[1, 2])}), tmp_path)
    assert prepared == ["pairs", "words", "words", *2 * ["words", "mean"]]


@pytest.mark.parametrize("workers", [1, 2])
def test_after_sigkill_finished_items_are_not_done_again(tmp_path: Path, workers: int) -> None:
    env, log, store = environment(tmp_path / "site"), tmp_path / "log", tmp_path / "store"
    count = 30
    loop = for_each(scaled(log), ["mean"], values=list(range(1, count + 1)))
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec_of({"pairs": PAIRS, "loop": loop}, workers)))
    finish(command(path, tmp_path / "whole"), env)
    undisturbed = all_files(tmp_path / "whole")
    log.unlink()
    moments = sorted(random.Random(workers).sample(range(1, count - 5), 3))
    for done in moments:
        process = start(command(path, store), env)
        until(partial(lambda enough: len(lines(log)) >= enough, done), process)
        kill(process)
        assert_valid(store)
    finish(command(path, store), env)
    assert count <= len(lines(log)) <= count + len(moments) * workers
    assert all_files(store) == undisturbed


def failing(**params: Any) -> dict[str, Any]:
    steps = {
        "fussy": {"kind": "fussy", "inputs": {"data": "pairs", "value": "item"},
                  "params": {"how": "message", "bad": 3}},
        "mean": {"kind": "mean", "inputs": ["fussy"]},
    }  # fmt: skip
    return {"pairs": PAIRS, "loop": for_each(steps, ["mean"], values=[1, 2, 3, 4], **params)}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_fails_stops_the_loop_and_is_named(tmp_path: Path, workers: int) -> None:
    with pytest.raises(StepError) as caught:
        go(spec_of(failing(), workers), tmp_path)
    assert str(caught.value) == (
        "steps.loop (for-each): item 3: steps.fussy (fussy): "
        "row p0000000 is not to its taste; drop it"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_items_that_fail_can_be_left_out_and_are_told(tmp_path: Path, workers: int) -> None:
    steps = {**failing(on_error="collect-error"), "all": {"kind": "mean", "inputs": ["loop.mean"]}}
    steps.pop("all")
    finished = go(spec_of(steps, workers), tmp_path)
    rows = finished["loop.mean"].table.to_pylist()  # type: ignore[attr-defined]
    assert [(row["item"], row["value"]) for row in rows] == [("1", 1.0), ("2", 2.0), ("4", 4.0)]
    sentence = "steps.fussy (fussy): row p0000000 is not to its taste; drop it"
    assert finished["loop.errors"].table.to_pylist() == [{"item": "3", "error": sentence}]  # type: ignore[attr-defined]
    loop = finished.record.steps["loop"]
    assert loop.message == "1 of 4 items failed: 3"
    assert loop.notices[-1] == {
        "what": "item failed", "action": "dropped", "count": 1, "ids": ["3"], "of": "items"
    }  # fmt: skip
    assert [item["status"] for item in loop.items] == ["done", "done", "failed", "done"]
    assert planned(spec_of(steps), tmp_path)["loop"] == "run: 1 of 4 items"


def test_items_whose_processes_die_can_be_left_out(tmp_path: Path) -> None:
    steps = failing(on_error="collect-error")
    steps["loop"]["params"]["steps"]["fussy"]["params"]["how"] = "die"
    finished = go(spec_of(steps, workers=2), tmp_path)
    rows = finished["loop.mean"].table.to_pylist()  # type: ignore[attr-defined]
    assert [(row["item"], row["value"]) for row in rows] == [("1", 1.0), ("2", 2.0), ("4", 4.0)]
    why = "a worker process died before its work was done (out of memory?)"
    [row] = finished["loop.errors"].table.to_pylist()  # type: ignore[attr-defined]
    assert row["item"] == "3" and row["error"].startswith(why)
    loop = go(spec_of(steps, workers=2), tmp_path).record.steps["loop"]
    assert [item["status"] for item in loop.items] == ["reused", "reused", "failed", "reused"]


def test_a_bug_in_an_item_can_be_left_out_with_its_traceback(tmp_path: Path) -> None:
    steps = failing(on_error="collect-error")
    steps["loop"]["params"]["steps"]["fussy"]["params"]["how"] = "bug"
    finished = go(spec_of(steps), tmp_path)
    [row] = finished["loop.errors"].table.to_pylist()  # type: ignore[attr-defined]
    assert row["error"].startswith("Traceback") and "in _fuss" in row["error"]


def test_a_loop_whose_items_all_fail_fails(tmp_path: Path) -> None:
    steps = failing(on_error="collect-error")
    steps["loop"]["params"]["values"] = [3]
    with pytest.raises(StepError, match="all 1 items failed; the first: steps.fussy"):
        go(spec_of(steps), tmp_path)


def test_loops_can_be_inside_loops(tmp_path: Path) -> None:
    inner = for_each(
        {
            "words": {"kind": "lengths", "inputs": {"data": "outer-words", "scale": "item"}},
            "mean": {"kind": "mean", "inputs": ["words"]},
        },
        ["mean"],
        values=[1, 10],
    )
    repeat = {
        "kind": "repeat",
        "inputs": {"left": "pairs"},
        "params": {
            "rounds": 2,
            "carry": {"left": "outer-words"},
            "collect": ["inner"],
            "steps": {
                "outer-words": {"kind": "later", "inputs": {"data": "left", "skip": "item"}},
                "inner": inner,
            },
        },
    }
    loop = for_each({"rounds": repeat}, ["rounds"], values=[1, 5])
    loop["params"]["steps"]["told"] = {"kind": "mean", "inputs": ["never.x"]}
    with pytest.raises(SpecError, match="no step 'never'"):
        go(spec_of({"pairs": PAIRS, "loop": loop}), tmp_path)
    steps = {"last": {"kind": "lengths", "inputs": "rounds.left"}, "rounds": repeat}
    spec = spec_of({"pairs": PAIRS, "loop": for_each(steps, ["last"], values=[1, 5])})
    assert planned(spec, tmp_path)["loop"] == "run: 2 of 2 items"
    finished = go(spec, tmp_path)
    table = finished["loop"].table  # type: ignore[attr-defined]
    counts = [table["item"].to_pylist().count(item) for item in ("1", "5")]
    assert counts == [20 - 2 * 1, 20 - 2 * 5]
    assert set(planned(spec, tmp_path).values()) == {"reuse: ", "reuse: all 2 items"}


def test_a_column_that_is_there_keeps_its_name_beside_that_of_an_outer_loop(
    tmp_path: Path,
) -> None:
    inner = for_each(
        {"words": {"kind": "lengths", "inputs": {"data": "cut", "scale": "item"}}},
        ["words"],
        values=[1, 2],
    )
    outer = {"cut": {"kind": "later", "inputs": {"data": "pairs", "skip": "item"}}, "inner": inner}
    loop = for_each(outer, ["inner"], values=[17, 18])
    table = go(spec_of({"pairs": PAIRS, "loop": loop}), tmp_path)["loop"].table  # type: ignore[attr-defined]
    assert table["item"].to_pylist() == ["1"] * 3 + ["2"] * 3 + ["1"] * 2 + ["2"] * 2
    assert table["outer_item"].to_pylist() == ["17"] * 6 + ["18"] * 4
    assert table["id"][0].as_py() == "17/1/p0000017"
    assert len(set(table["id"].to_pylist())) == 10


def test_the_steps_of_a_loop_can_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "steps.yaml").write_text(json.dumps({"steps": scaled()}))
    path = tmp_path / "spec.yaml"
    loop = for_each({}, ["mean"], values=[1, 2])
    loop["params"]["steps"] = "inner/steps.yaml"
    path.write_text(json.dumps(spec_of({"pairs": PAIRS, "loop": loop})))
    assert list(means(go(path, tmp_path / "store"))) == ["1", "2"]
    (tmp_path / "inner" / "steps.yaml").write_text("steps:\n  mean: {kind: maen}\n")
    with pytest.raises(SpecError, match=r"inner/steps.yaml:2:\d+: .*unknown kind 'maen'; did you"):
        go(path, tmp_path / "store")


def test_what_steps_inside_notice_is_told_once_for_each_result(tmp_path: Path) -> None:
    steps = {
        "common": {"kind": "lengths", "inputs": "pairs"},
        "own": {"kind": "lengths", "inputs": {"data": "pairs", "scale": "item"}},
        "mean": {"kind": "mean", "inputs": ["common", "own"]},
    }
    spec = spec_of({"pairs": PAIRS, "loop": for_each(steps, ["mean"], values=[2, 3])})
    for _ in range(2):
        [noticed] = go(spec, tmp_path).record.steps["loop"].notices
        assert (noticed["what"], noticed["count"]) == ("number ends with 7", 3 * 2)


def test_damage_inside_a_loop_is_mended_and_told(tmp_path: Path) -> None:
    spec = spec_of({"pairs": PAIRS, "loop": for_each(scaled(), ["mean"], values=[1, 2])})
    go(spec, tmp_path)
    before = all_files(tmp_path)
    [path, _] = tmp_path.glob("artifacts/mean-*/part-*")
    path.write_bytes(b"")
    loop = go(spec, tmp_path).record.steps["loop"]
    assert "mean: the stored result was damaged (the checksum of part-00000" in loop.message
    assert all_files(tmp_path) == before
    [path] = tmp_path.glob("artifacts/collected-*/part-*")
    path.unlink()
    again = go(spec, tmp_path)
    assert len(means(again)) == 2 and all_files(tmp_path) == before
    [problem] = again.record.problems
    assert problem.endswith("was damaged (part-00000.parquet is missing) and is made anew")


def test_force_does_every_item_again(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    spec = spec_of({"pairs": PAIRS, "loop": for_each(scaled(log), ["mean"], values=[1, 2, 3])})
    go(spec, store)
    before = all_files(store)
    assert planned(spec, store, force=True)["loop"] == "run: 3 of 3 items"
    go(spec, store, force=True)
    assert len(lines(log)) == 6 and all_files(store) == before


def test_a_model_inside_a_loop_is_let_go_of_after_its_item(tmp_path: Path) -> None:
    from rmplug._run.scope import ModelHandle

    log = tmp_path / "log"
    steps = {
        "model": {"kind": "character-model", "inputs": {"reward": "item"},
                  "params": {"log": str(log)}},
        "asked": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
        "mean": {"kind": "mean", "inputs": ["asked"]},
    }  # fmt: skip
    spec = {"pairs": PAIRS, "loop": for_each(steps, ["mean"], values=[0.75, 1.5])}
    before = {*ModelHandle._opened}
    go(spec_of(spec), tmp_path / "store")
    assert [line.split()[1] for line in lines(log)] == ["0.75", "1.5"]
    assert {*ModelHandle._opened} == before
