"""Rows that a model was trained on are counted wherever it is evaluated."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

import rmplug
from rmplug import Features, Pairs
from rmplug._kinds.registry import discover
from rmplug._run.lineage import SeenCounter, trainings_of
from rmplug._run.results import Results
from rmplug._run.scope import Handle, Training
from rmplug._store.store import Store
from rmplug.known import Ref
from rmplug.records import SeenRows
from rmplug_hf import LinearHead
from rmplug_tabular import Sklearn

PAIRS = Path(__file__).parents[2] / "examples/data/preferences.jsonl"
SCORES = Path(__file__).parents[2] / "examples/data/scores.jsonl"
LOADED = {"kind": "pairs-file", "params": {"path": str(PAIRS), "limit": 120}}
HEAD = {"kind": "ngram-head", "inputs": "train"}
TRAIN = {"kind": "split", "inputs": "pairs", "params": {"test": 0.5, "part": "train"}}
TEST = {"kind": "split", "inputs": "pairs", "params": {"test": 0.5, "part": "test"}}


def seen_by(steps: dict[str, Any], store: Path) -> dict[str, SeenRows]:
    """What the step ``accuracy`` has counted; the same when its result is reused."""
    spec = {"name": "seen", "seed": 5, "engine": {"kind": "local", "params": {"workers": 1}}}
    first = rmplug.run({**spec, "steps": steps}, store=store).record.steps["accuracy"]
    again = rmplug.run({**spec, "steps": steps}, store=store).record.steps["accuracy"]
    assert again.status == "reused"
    assert again.seen == first.seen
    return first.seen


def asked(data: str, model: str = "head") -> dict[str, Any]:
    return {"kind": "reward", "inputs": {"model": model, "data": data}}


def measured(data: str, *rewards: str) -> dict[str, Any]:
    return {"kind": "pairwise", "inputs": {"data": data, "rewards": list(rewards)}}


def test_a_model_is_in_sample_on_what_it_was_trained_on_and_held_out_elsewhere(tmp_path: Path):
    steps = {
        "pairs": LOADED, "train": TRAIN, "test": TEST, "head": HEAD,
        "own": asked("train"), "accuracy": measured("train", "own"),
    }  # fmt: skip
    seen = seen_by(steps, tmp_path)["own"]
    assert seen.seen == seen.rows > 40
    steps |= {"other": asked("test"), "accuracy": measured("test", "other")}
    seen = seen_by(steps, tmp_path)["other"]
    assert (seen.seen, seen.known) == (0, True)


def test_a_mixture_is_counted_row_by_row_and_noticed(tmp_path: Path):
    steps = {
        "pairs": LOADED, "train": TRAIN, "head": HEAD,
        "all": asked("pairs"), "accuracy": measured("pairs", "all"),
    }  # fmt: skip
    spec = {"name": "seen", "seed": 5, "steps": steps}
    run = rmplug.run(spec, store=tmp_path)
    record = run.record.steps["accuracy"]
    assert record.seen["all"].seen == len(run["train"].table) < record.seen["all"].rows  # type: ignore[attr-defined]
    [notice] = [n for n in record.notices if n["what"].startswith("all is in-sample")]
    assert notice["count"] == record.seen["all"].seen
    assert set(notice["ids"]) == set(run["train"].table["id"].to_pylist())  # type: ignore[attr-defined]


@pytest.mark.parametrize(("part", "share"), [("test", 0.0), ("train", 1.0)])
def test_each_fold_of_a_loop_is_judged_by_its_own_model(tmp_path: Path, part: str, share: float):
    fold = {"data": "pairs", "fold": "item"}
    body = {
        "train": {"kind": "split", "inputs": fold, "params": {"folds": 2, "part": "train"}},
        "rows": {"kind": "split", "inputs": fold, "params": {"folds": 2, "part": part}},
        "head": HEAD,
        "reward": asked("rows"),
    }
    loop = {"kind": "for-each", "params": {"values": [0, 1], "collect": ["reward"], "steps": body}}
    steps = {"pairs": LOADED, "folds": loop, "accuracy": measured("pairs", "folds.reward")}
    [(name, seen)] = seen_by(steps, tmp_path).items()
    assert (name, seen.share, seen.known) == ("folds.reward", share, True)
    assert seen.rows == 120


def test_states_of_more_rows_than_the_data_are_not_what_a_head_was_trained_on():
    inputs = {"data": [Handle("split-1", Pairs)], "states": [Handle("hidden-state-1", Features)]}
    assert trainings_of(LinearHead(), inputs) == (Training(("split-1",)),)
    fitted = {"features": [Handle("lexical-1", Features)], "target": [Handle("reward-1", Features)]}
    [training] = trainings_of(Sklearn(name="Ridge"), fitted)
    assert training.tables == ("lexical-1", "reward-1")


def test_of_a_model_made_elsewhere_nothing_is_known(tmp_path: Path):
    model = {"kind": "recorded", "params": {"path": str(SCORES), "model": "ngram"}}
    steps = {
        "pairs": LOADED, "model": model,
        "reward": asked("pairs", "model"), "accuracy": measured("pairs", "reward"),
    }  # fmt: skip
    assert seen_by(steps, tmp_path) == {"reward": SeenRows(120, 0, known=False)}


def test_features_that_no_model_gave_are_not_counted(tmp_path: Path):
    steps = {
        "pairs": LOADED, "words": {"kind": "lexical", "inputs": "pairs"},
        "accuracy": measured("pairs", "words.difference.characters"),
    }  # fmt: skip
    assert seen_by(steps, tmp_path) == {}


def test_a_prediction_is_in_sample_where_its_fit_was_made(tmp_path: Path):
    learn = {"kind": "sklearn", "params": {"name": "Ridge"}}
    steps = {
        "pairs": LOADED, "train": TRAIN, "test": TEST, "head": HEAD,
        "target": asked("test"), "words": {"kind": "lexical", "inputs": "test"},
        "fit": {**learn, "inputs": {"features": ["words"], "target": "target.margin"}},
        "guess": {"kind": "predict", "inputs": {"fit": "fit", "features": ["words"]}},
        "accuracy": measured("test", "guess.prediction"),
    }  # fmt: skip
    [seen] = seen_by(steps, tmp_path).values()
    assert seen.share == 1.0


def test_a_report_gets_what_its_own_rewards_have_seen(tmp_path: Path):
    steps = {
        "pairs": LOADED, "train": TRAIN, "test": TEST, "head": HEAD,
        "own": asked("train"), "other": asked("test"),
        "page": {"kind": "html", "inputs": ["train", "own", "other"]},
    }  # fmt: skip
    record = rmplug.run({"name": "seen", "seed": 5, "steps": steps}, store=tmp_path).record
    assert record.steps["page"].seen["own"].share == 1.0
    assert record.steps["page"].seen["other"].share == 0.0


def test_a_training_table_that_is_gone_from_the_store_is_not_known(tmp_path: Path):
    steps = {
        "pairs": LOADED, "train": TRAIN, "test": TEST, "head": HEAD,
        "other": asked("test"), "accuracy": measured("test", "other"),
    }  # fmt: skip
    run = rmplug.run({"name": "seen", "seed": 5, "steps": steps}, store=tmp_path)
    results = Results(discover(), Store(tmp_path), 8192)
    handle = results.handle_of(run.path("other").name)
    rmtree(run.path("train"))
    counted = SeenCounter(results).count({"rewards": [handle]}, {"rewards": [Ref("other")]})
    assert counted == {"other": SeenRows(len(run["test"].table), 0, known=False)}  # type: ignore[attr-defined]
