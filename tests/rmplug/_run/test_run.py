"""Running a spec: what is done, what is reused and why, what goes wrong, what is written down."""

from __future__ import annotations

import json
import subprocess
import traceback
from pathlib import Path
from typing import Any

import pytest
import sample_plugin
from jsonschema import Draft202012Validator
from run_specs import (
    all_files,
    command,
    environment,
    go,
    lines,
    planned,
    spec_of,
    statuses,
)

from rmplug._kinds.schema import record_schema
from rmplug.errors import PluginError, SpecError, StepError

PAIRS = {"kind": "made-pairs"}


def steps(log: Path | None = None, **words: Any) -> dict[str, Any]:
    told = {"log": str(log)} if log else {}
    return {
        "pairs": {"kind": "made-pairs", "params": told},
        "words": {"kind": "lengths", "inputs": "pairs", "params": {**told, **words}},
        "rank": {"kind": "rank", "inputs": "pairs"},
        "mean": {"kind": "mean", "inputs": ["words", "rank"], "params": told},
    }


def test_a_run_gives_each_result_by_its_id(tmp_path: Path) -> None:
    finished = go(spec_of(steps()), tmp_path)
    assert list(finished) == ["pairs", "words", "rank", "mean"]
    assert finished["words"].table.column_names == ["id", "group", "chosen", "rejected"]  # type: ignore[attr-defined]
    assert finished["words.chosen"].table["chosen"][3].as_py() == 4 * len("yes ") + 1  # type: ignore[attr-defined]
    metrics = finished["mean"].table.to_pydict()  # type: ignore[attr-defined]
    assert metrics["metric"] == ["mean words.chosen", "mean words.rejected", "mean rank.rank"]
    assert metrics["value"][2] == 19.5
    with pytest.raises(KeyError, match="no step 'word'; did you mean 'words'"):
        finished["word"]


def test_the_same_spec_is_reused_whatever_is_written_differently(tmp_path: Path) -> None:
    log = tmp_path / "log"
    go(spec_of(steps()), tmp_path / "store")
    before = all_files(tmp_path / "store")
    turned = dict(reversed(steps(log, pause=0.001, scale=1).items()))
    again = go(spec_of(turned, workers=2, shard_rows=7, seed=5), tmp_path / "store")
    assert set(statuses(again).values()) == {"reused"} and lines(log) == []
    assert all_files(tmp_path / "store") == before


def test_a_changed_parameter_changes_all_below_it_and_nothing_else(tmp_path: Path) -> None:
    go(spec_of(steps()), tmp_path)
    again = go(spec_of(steps()), tmp_path, assign=["steps.words.params.scale=2"])
    assert statuses(again) == {
        "pairs": "reused", "rank": "reused", "words": "done", "mean": "done"
    }  # fmt: skip
    assert again.record.steps["words"].reason == "params: scale 1.0 → 2.0"
    assert again.record.steps["mean"].reason == "inputs: features changed"
    back = go(spec_of(steps()), tmp_path)
    assert set(statuses(back).values()) == {"reused"}


def test_a_seed_matters_only_to_steps_that_take_it(tmp_path: Path) -> None:
    fit = {"kind": "line", "inputs": {"features": ["words"], "target": "words.rejected"}}
    spec = {**steps(), "fit": fit}
    first = go(spec_of(spec, seed=1), tmp_path)
    second = go(spec_of(spec, seed=2), tmp_path)
    done = [step for step, status in statuses(second).items() if status == "done"]
    assert done == ["fit"] and second.record.steps["fit"].reason == "seed: 1 → 2"
    slopes = [run["fit"].numbers[0]["value"] for run in (first, second)]  # type: ignore[attr-defined]
    assert all(isinstance(slope, float) for slope in slopes) and slopes[0] != slopes[1]


def test_only_runs_a_step_and_what_it_needs(tmp_path: Path) -> None:
    assert statuses(go(spec_of(steps()), tmp_path, only=["words"])) == {
        "pairs": "done",
        "words": "done",
    }


def test_from_runs_a_step_and_what_depends_on_it(tmp_path: Path) -> None:
    spec = spec_of({**steps(), "other": {"kind": "mean", "inputs": ["rank"]}})
    found = statuses(go(spec, tmp_path, start="words"))
    assert sorted(found) == ["mean", "pairs", "rank", "words"]


def test_asking_for_steps_that_are_not_there_or_do_not_meet_is_refused(tmp_path: Path) -> None:
    spec = spec_of(steps())
    with pytest.raises(SpecError, match="no step 'wrds'; did you mean 'words'"):
        go(spec, tmp_path, only=["wrds"])
    with pytest.raises(SpecError, match="none of rank depends on 'words', so there is nothing"):
        go(spec, tmp_path, only=["rank"], start="words")


def test_force_does_the_steps_asked_for_again_and_gives_the_same(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    go(spec_of(steps(log)), store)
    before = all_files(store)
    log.unlink()
    again = go(spec_of(steps(log)), store, only=["words"], force=True)
    assert statuses(again) == {"pairs": "reused", "words": "done"}
    assert again.record.steps["words"].reason == "forced"
    assert len(lines(log)) == 4 and all_files(store) == before


def test_a_forced_run_that_fails_leaves_the_result_that_was_there(tmp_path: Path) -> None:
    spec = spec_of({"pairs": PAIRS, "fussy": {"kind": "fussy", "inputs": "pairs"}})
    go(spec, tmp_path)
    before = all_files(tmp_path)
    sample_plugin.Fussy._fuss, kept = None, sample_plugin.Fussy._fuss  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(TypeError):
            go(spec, tmp_path, only=["fussy"], force=True)
    finally:
        sample_plugin.Fussy._fuss = kept  # type: ignore[method-assign]
    assert all_files(tmp_path) == before
    assert set(statuses(go(spec, tmp_path)).values()) == {"reused"}


def test_a_dry_run_says_what_would_be_done_and_why_and_does_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    spec = spec_of(steps())
    assert planned(spec, store) == dict.fromkeys(steps(), "run: not done before")
    assert not store.exists()
    finished = go(spec, store)
    assert planned(spec, store) == dict.fromkeys(steps(), "reuse: ")
    assert planned(spec, store, force=True) == dict.fromkeys(steps(), "run: forced")
    changed = planned(spec_of(steps(scale=3)), store)
    assert changed["words"] == "run: params: scale 1.0 → 3.0"
    assert (changed["pairs"], changed["rank"]) == ("reuse: ", "reuse: ")
    (finished.path("rank") / "part-00002.parquet").unlink()
    damaged = planned(spec, store)
    assert damaged["rank"] == "run: the stored result is damaged: part-00002.parquet is missing"
    models = {"pairs": PAIRS, "model": {"kind": "character-model"}}
    assert planned(spec_of(models), store)["model"] == "load: where it is used"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_persons_mistake_is_one_line_that_names_the_step(tmp_path: Path, workers: int) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "message"}}
    spec = spec_of({"pairs": PAIRS, "fussy": fussy}, workers, shard_rows=30)
    with pytest.raises(StepError) as caught:
        go(spec, tmp_path)
    sentence = "row p0000030 is not to its taste; drop it"
    assert str(caught.value) == f"steps.fussy (fussy): {sentence}"
    [record] = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/record.json")]
    assert record["status"] == "failed" and record["steps"]["pairs"]["status"] == "done"
    assert (record["steps"]["fussy"]["status"], record["steps"]["fussy"]["message"]) == (
        "failed",
        sentence,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_keeps_its_traceback(tmp_path: Path, workers: int) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "bug"}}
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        go(spec_of({"pairs": PAIRS, "fussy": fussy}, workers), tmp_path)
    assert "in _fuss" in "".join(traceback.format_exception(caught.value))
    [path] = tmp_path.glob("runs/*/record.json")
    assert json.loads(path.read_text())["steps"]["fussy"]["message"] == "a bug"


def test_what_is_noticed_is_in_the_record_and_stays_with_the_result(tmp_path: Path) -> None:
    for status in ("done", "reused"):
        finished = go(spec_of(steps(), workers=2), tmp_path)
        assert statuses(finished)["words"] == status
        seven, longest = (finished.record.steps[name].notices for name in ("words", "rank"))
        ids = [f"p00000{number}" for number in ("07", "17", "27", "37")]
        expected = {"what": "number ends with 7", "action": "kept", "count": 4, "ids": ids,
                    "of": "rows"}  # fmt: skip
        assert seven == [expected]
        assert longest == [{**expected, "what": "longest", "action": "changed", "count": 2,
                            "ids": ["p0000016", "p0000033"]}]  # fmt: skip


def test_the_record_says_what_ran_and_fits_its_schema(tmp_path: Path) -> None:
    finished = go(spec_of(steps(), seed=3), tmp_path, assign=["steps.pairs.params.rows=50"])
    path = tmp_path / "runs" / finished.record.id / "record.json"
    record = json.loads(path.read_text())
    Draft202012Validator(record_schema()).validate(record)
    assert (record["name"], record["seed"], record["status"]) == ("tested", 3, "finished")
    assert record["spec"]["steps"]["pairs"]["params"]["rows"] == 50
    assert record["environment"]["libraries"]["pyarrow"][0].isdigit()
    words = record["steps"]["words"]
    assert (words["rows"], words["computed"], words["status"]) == (50, 50, "done")
    assert words["kind"] == "sample_plugin:lengths" and words["family"] == "feature computer"
    assert words["rows_per_second"] == pytest.approx(50 / words["seconds"], rel=0.2)
    assert 20 < words["peak_memory_mb"] < 100_000
    assert words["inputs"] == {"data": [record["steps"]["pairs"]["artifact"]]}
    again = go(spec_of(steps(), seed=3), tmp_path, assign=["steps.pairs.params.rows=50"])
    words_again = again.record.steps["words"]
    assert (words_again.rows, words_again.computed, words_again.rows_per_second) == (50, 0, None)


def test_a_spec_file_is_written_into_the_record_and_its_paths_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("name: filed\nsteps:\n  pairs: {kind: made-pairs, params: {rows: 3}}\n")
    finished = go(path, tmp_path / "store")
    assert len(finished["pairs"]) == 3  # type: ignore[arg-type]
    assert finished.record.spec_file == str(path) and finished.record.name == "filed"


def test_two_runs_at_once_do_the_work_once(tmp_path: Path) -> None:
    env, log = environment(tmp_path / "site"), tmp_path / "log"
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec_of(steps(log, pause=0.05))))
    processes = [
        subprocess.Popen(
            command(path, tmp_path / "store"),
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert sorted(line.split()[0] for line in lines(log)) == ["load", "mean", *["shard"] * 4]
    found = [json.loads(p.read_text())["steps"] for p in tmp_path.glob("store/runs/*/record.json")]
    for step in ("pairs", "words", "mean"):
        assert sorted(steps[step]["status"] for steps in found) == ["done", "reused"]


def test_a_model_is_opened_once_in_each_process_and_let_go_of(tmp_path: Path) -> None:
    from rmplug._run.scope import ModelHandle

    log = tmp_path / "log"
    spec = {
        "pairs": {"kind": "made-pairs"},
        "model": {"kind": "character-model", "params": {"reward": 0.5, "log": str(log)}},
        "asked": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
        "fewer": {"kind": "later", "inputs": "pairs"},
        "again": {"kind": "ask", "inputs": {"model": "model", "data": "fewer"}},
    }
    finished = go(spec_of(spec), tmp_path / "one")
    assert [line.split()[:2] for line in lines(log)] == [["open", "0.5"]]
    assert ModelHandle._opened == {}
    assert finished["asked"].table["length"][2].as_py() == 0.5 * len("yes yes yes 2")  # type: ignore[attr-defined]
    log.unlink()
    go(spec_of(spec, workers=2), tmp_path / "two")
    opened = [line.split()[2] for line in lines(log)]
    assert 1 <= len(opened) <= 2 and len(set(opened)) == len(opened)
    assert finished["model"].outputs == ("length",)  # type: ignore[attr-defined]


def test_a_checkpoint_is_a_reward_model_and_a_fit_can_be_opened(tmp_path: Path) -> None:
    spec = {
        **steps(),
        "head": {"kind": "character-head", "inputs": "pairs"},
        "asked": {"kind": "ask", "inputs": {"model": "head", "data": "pairs"}},
        "fit": {"kind": "line", "inputs": {"features": ["words"], "target": "asked.length"}},
        "told": {"kind": "predict-line", "inputs": {"fit": "fit", "features": ["words"]}},
        "rest": {"kind": "mean", "inputs": ["fit.prediction", "words.chosen"]},
    }
    finished = go(spec_of(spec, workers=2, seed=2), tmp_path)
    assert finished["asked"].table["length"][0].as_py() == 42 * len("yes 0")  # type: ignore[attr-defined]
    told = finished["told"].table  # type: ignore[attr-defined]
    assert told["prediction"][0].as_py() == pytest.approx(42 * len("yes 0"), rel=1e-6)
    names = finished["rest"].table["metric"].to_pylist()  # type: ignore[attr-defined]
    assert names == ["mean fit.prediction", "mean words.chosen"]
    assert isinstance(finished["head"].open(), sample_plugin.working.PerCharacter)  # type: ignore[attr-defined]


def test_work_that_cannot_be_sent_to_workers_is_refused_by_name(tmp_path: Path) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "lambda"}}
    spec = {"pairs": PAIRS, "fussy": fussy}
    with pytest.raises(StepError, match=r"steps.fussy .* cannot be sent to worker processes") as e:
        go(spec_of(spec, workers=2), tmp_path)
    assert isinstance(e.value.__cause__, PluginError) and "with workers: 1" in str(e.value)
    assert statuses(go(spec_of(spec, workers=1), tmp_path))["fussy"] == "done"


def test_a_worker_that_dies_is_one_line_that_names_the_step(tmp_path: Path) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "die"}}
    with pytest.raises(StepError) as caught:
        go(spec_of({"pairs": PAIRS, "fussy": fussy}, workers=2), tmp_path)
    assert str(caught.value).startswith("steps.fussy (fussy): a worker process died before its")
    assert "run again with fewer workers" in str(caught.value)


def test_an_error_that_cannot_be_sent_between_processes_keeps_its_traceback(
    tmp_path: Path,
) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "unsendable"}}
    with pytest.raises(RuntimeError, match="Unsendable: cannot be sent") as caught:
        go(spec_of({"pairs": PAIRS, "fussy": fussy}, workers=2), tmp_path)
    assert "in _fuss" in str(caught.value)


def test_a_report_is_told_the_plan_and_is_found(tmp_path: Path) -> None:
    page = {"kind": "page", "inputs": ["mean"]}
    finished = go(spec_of({**steps(), "alone": PAIRS, "page": page}), tmp_path)
    assert finished.reports == [finished.path("page") / "files" / "index.html"]
    told = finished.reports[0].read_text().removeprefix("<pre>").splitlines()
    assert [line.split()[:4] for line in told] == [
        ["pairs", "made-pairs", "40", "0"],
        ["words", "lengths", "40", "1"],
        ["rank", "rank", "40", "1"],
        ["mean", "mean", "3", "0"],
    ]


def test_a_run_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    finished = go(spec_of({**steps(), "page": {"kind": "page", "inputs": ["mean"]}}), tmp_path)
    html = finished._repr_html_()
    assert "<b>tested · finished in " in html and html.count("<tr>") == 6
    assert "<td>words</td><td>sample_plugin:lengths</td><td>done</td>" in html
    assert f"href='{finished.reports[0].as_uri()}'" in html
    assert "words: done" in repr(finished)


def test_observers_are_told_in_order_and_a_failing_one_harms_nothing(tmp_path: Path) -> None:
    told = tmp_path / "told"
    spec = spec_of(
        {"pairs": PAIRS, "words": {"kind": "lengths", "inputs": "pairs"}},
        track={"listener": {"file": str(told)}, "broken": {}},
        shard_rows=20,
    )
    finished = go(spec, tmp_path / "store")
    assert lines(told) == [
        "run_started running",
        "step_started pairs running",
        "step_progress pairs 20 None",
        "step_progress pairs 40 None",
        "step_finished pairs done",
        "step_started words running",
        "step_progress words 0 40",
        "step_progress words 20 40",
        "step_progress words 40 40",
        "step_finished words done",
        "run_finished finished",
    ]
    assert finished.record.status == "finished"
    assert finished.record.problems == [
        "broken: run_started: ConnectionError: no network",
        "broken: step_finished: ConnectionError: no network",
    ]
