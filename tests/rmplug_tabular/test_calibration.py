"""Calibration of margins: what is found, what is refused, and a model saved with it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from tabular_data import values

import rmplug
from rmplug import Checkpoint, DataError, Features, SpecError, StepError
from rmplug._cli.commands import main
from rmplug.testing import check_step, run_step
from rmplug_tabular import Calibrated, Calibration

ROWS = 4000
ROOT = Path(__file__).resolve().parents[2]


def margins(slope: float = 0.4, rows: int = ROWS, seed: int = 0) -> Features:
    """Margins of which ``slope`` times their size are the log-odds; two pairs to a prompt."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(2.0, 2.0, rows)
    right = rng.random(rows) < 1 / (1 + np.exp(-slope * size))
    return Features(
        {
            "id": [f"pair-{i}" for i in range(rows)],
            "group": [f"prompt-{i // 2}" for i in range(rows)],
            "chosen": np.where(right, size, 0.0),
            "margin": np.where(right, size, -size),
        },
        "reward",
    )


def fitted(reward, tmp_path, **params):
    return run_step(Calibration(**params), {"reward": reward}, tmp_path)


def row(fit, metric):
    [found] = [number for number in fit.numbers if number["metric"] == metric]
    return found


@pytest.mark.parametrize("form", ["temperature", "platt", "isotonic"])
def test_too_sure_margins_become_log_odds_that_hold(form, tmp_path):
    fit = fitted(margins(), tmp_path, form=form)
    numbers = values(fit)
    assert numbers["ece-before"] > 0.08
    assert numbers["ece-after"] < 0.02
    change = row(fit, "log-loss-change")
    assert change["value"] == pytest.approx(numbers["log-loss-after"] - numbers["log-loss-before"])
    assert change["high"] < 0
    assert row(fit, "brier-change")["high"] < 0
    new = margins(seed=1)
    found = fit.open().predict(rmplug.join([new]).table)
    wanted = 1 / (1 + np.exp(-0.4 * new["margin"].to_numpy()))
    assert np.abs(found["probability"] - wanted).mean() < 0.02


@pytest.mark.parametrize("form", ["temperature", "platt"])
def test_the_slope_is_the_likeliest_and_its_interval_holds_the_truth(form, tmp_path):
    reward = margins()
    fit = fitted(reward, tmp_path, form=form)
    margin = reward["margin"].to_numpy()
    likeliest = minimize_scalar(lambda a: np.logaddexp(0, -a * margin).mean(), bounds=(0.01, 3))
    slope, temperature = row(fit, "slope"), row(fit, "temperature")
    assert slope["value"] == pytest.approx(likeliest.x, rel=3e-3)
    assert slope["low"] < 0.4 < slope["high"] < slope["low"] + 0.1
    assert temperature["value"] == pytest.approx(1 / slope["value"])
    assert temperature["low"] < 2.5 < temperature["high"]


@pytest.mark.parametrize("form", ["temperature", "platt", "isotonic"])
def test_exchanging_the_sides_of_pairs_exchanges_the_probability(form, tmp_path):
    open_fit = fitted(margins(rows=300), tmp_path, form=form).open()
    sizes = np.array([0.0, 0.3, 2.0, 50.0])
    above, below = (
        open_fit.predict(rmplug.join([Features({"id": list("abcd"), "margin": m}, "r")]).table)
        for m in (sizes, -sizes)
    )
    assert above["probability"][0] == 0.5
    assert above["probability"] + below["probability"] == pytest.approx(np.ones(4))
    assert (np.diff(above["margin"]) >= 0).all() and np.isfinite(above["loss"]).all()


def test_a_reward_that_is_always_right_keeps_finite_margins(tmp_path):
    reward = Features({"id": [f"p{n}" for n in range(40)], "margin": np.ones(40)}, "reward")
    for form in ("temperature", "platt", "isotonic"):
        found = fitted(reward, tmp_path / form, form=form).open()
        assert np.isfinite(found.predict(rmplug.join([reward]).table)["margin"]).all()


def test_a_reward_that_prefers_rejected_gets_a_slope_below_zero_only_from_platt(tmp_path):
    turned = Features({"id": margins()["id"], "margin": -margins()["margin"].to_numpy()}, "reward")
    assert values(fitted(turned, tmp_path / "a", form="platt"))["slope"] < -0.3
    assert 0 < values(fitted(turned, tmp_path / "b"))["slope"] < 1e-3


SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))


def recorded(model):
    """Margins of a released reward model on JudgeBench."""
    file = SHARED / "judgebench/scored.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    scores, prompts = {}, {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for row in filter(lambda row: row["model"] == model, map(json.loads, lines)):
            pair = row["meta"]["pair_id"]
            scores.setdefault(pair, [0.0, 0.0])[1 - row["label"]] = row["score"]
            prompts[pair] = row["prompt"]
    margin = [chosen - rejected for chosen, rejected in scores.values()]
    return Features(
        {"id": list(scores), "group": list(prompts.values()), "margin": margin}, "skywork"
    )


def test_a_released_model_that_is_far_too_sure_becomes_calibrated(tmp_path):
    fit = fitted(recorded("Skywork/Skywork-Reward-Gemma-2-27B"), tmp_path)
    before, after = row(fit, "log-loss-before"), row(fit, "log-loss-after")
    assert before["n"] == 216 and before["low"] > np.log(2) > after["high"]
    assert row(fit, "ece-before")["low"] > 0.15 > values(fit)["ece-after"]
    assert row(fit, "slope")["high"] < 0.15


@pytest.mark.parametrize("form", ["temperature", "platt", "isotonic"])
def test_calibration_conforms(form):
    check_step(Calibration, {"form": form}, {"reward": margins(rows=200)})


def test_few_pairs_are_refused(tmp_path):
    with pytest.raises(StepError, match="needs 10 pairs of 2 groups .* reward has 6 of 3; give"):
        fitted(margins(rows=6), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"format": 2, "column": "margin", "slope": 1}',
        '{"format": 1, "column": "margin", "slope": NaN}',
        '{"format": 1, "column": "margin", "sizes": [0, 1], "probabilities": [0.5, 0.4]}',
        '{"format": 1, "column": "margin", "sizes": [0, 1], "probabilities": [0.5, 1.0]}',
        '{"format": 1, "column": "margin", "sizes": [1], "probabilities": [0.5]}',
    ],
)
def test_a_file_that_describes_no_calibration_is_refused(content, tmp_path):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(DataError, match="calibration.json"):
        Calibration.open(tmp_path)


SPEC = {
    "name": "sure",
    "seed": 1,
    "steps": {
        "pairs": {"kind": "synthetic", "params": {"size": 300}},
        "train": {"kind": "split", "inputs": "pairs", "params": {"test": 0.5}},
        "held-out": {
            "kind": "split",
            "inputs": "pairs",
            "params": {"test": 0.5, "part": "test"},
        },
        "head": {"kind": "ngram-head", "inputs": "train", "params": {"folds": 2, "l2": [0.001]}},
        "reward": {"kind": "reward", "inputs": {"model": "head", "data": "held-out"}},
        "sure": {"kind": "calibration", "inputs": "reward"},
        "saved": {"kind": "calibrated", "inputs": {"model": "head", "calibration": "sure"}},
        "again": {"kind": "reward", "inputs": {"model": "saved", "data": "held-out"}},
        "predicted": {"kind": "predict", "inputs": {"fit": "sure", "features": ["reward"]}},
        "accuracy": {
            "kind": "pairwise",
            "inputs": {"data": "held-out", "rewards": ["reward", "predicted"]},
            "params": {"resamples": 100, "baselines": []},
        },
    },
}


def spec(form, **steps):
    made = json.loads(json.dumps(SPEC))
    made["steps"]["sure"]["params"] = {"form": form}
    made["steps"].update(steps)
    return made


@pytest.mark.parametrize("form", ["temperature", "isotonic"])
def test_a_checkpoint_holds_model_and_calibration(form, tmp_path, capsys):
    done = rmplug.run(spec(form), store=tmp_path / "store")
    predicted, again = done["predicted"].table, done["again"].table
    assert again["margin"].to_numpy() == pytest.approx(predicted["margin"].to_numpy(), abs=1e-9)
    assert ("chosen" in again.column_names) == (form == "temperature")
    saved = done["saved"]
    assert isinstance(saved, Checkpoint)
    check_step(Calibrated, {}, {"model": done["head"], "calibration": done["sure"]})
    assert {"l2", "log-loss-after"} <= set(values(saved))
    shutil.copytree(done.path("saved") / "files", tmp_path / "elsewhere")
    row = done["held-out"].table.slice(5, 1).to_pylist()[0]
    texts = [row[side][0]["content"] for side in ("chosen", "rejected")]
    for place in (done.path("saved"), tmp_path / "elsewhere"):
        found = rmplug.load(place).compare(row["prompt"], *texts)
        assert found.margin == pytest.approx(predicted["margin"][5].as_py(), abs=1e-9)
        assert found.probability == pytest.approx(predicted["probability"][5].as_py(), abs=1e-9)
    one = ["--prompt", row["prompt"][0]["content"], "--a", texts[0], "--b", texts[1]]
    assert main(["compare-texts", str(tmp_path / "elsewhere"), *one]) == 0
    assert "margin" in capsys.readouterr().out


def test_margins_that_the_model_has_seen_are_refused(tmp_path):
    steps = {"reward": {"kind": "reward", "inputs": {"model": "head", "data": "train"}}}
    seen = spec("platt", **steps)
    with pytest.raises(StepError, match=r"sure .* 151 of 151 margins of reward are in-sample"):
        rmplug.run(seen, store=tmp_path, only=["sure"])
    seen["steps"]["sure"]["params"]["in_sample"] = "keep"
    done = rmplug.run(seen, store=tmp_path, only=["sure"])
    assert done.record.steps["sure"].seen["reward"].seen == 151


def test_a_calibration_of_another_model_is_refused(tmp_path):
    other = {"kind": "ngram-head", "inputs": "train", "params": {"folds": 2, "l2": [1.0]}}
    saved = {"kind": "calibrated", "inputs": {"model": "other", "calibration": "sure"}}
    with pytest.raises(StepError, match="sure was fitted on margins of head, not of other"):
        rmplug.run(spec("platt", other=other, saved=saved), store=tmp_path, only=["saved"])


def test_what_calibration_cannot_take_is_told_before_anything_runs(tmp_path):
    fit = {
        "kind": "sklearn",
        "inputs": {"features": ["reward"], "target": "reward.margin"},
        "params": {"name": "Ridge"},
    }
    wrong = spec("platt", fit=fit)
    wrong["steps"]["saved"]["inputs"]["calibration"] = "fit"
    wrong["steps"]["sure"]["params"]["by"] = "margn"
    with pytest.raises(SpecError) as error:
        rmplug.run(wrong, store=tmp_path)
    text = str(error.value)
    assert "reward gives no column 'margn'; did you mean 'margin'?" in text
    assert "fit is made by sklearn; give a step calibration" in text


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"kind": "calibrated", "format": 1, "model": {"kind": 3}},
        {"kind": "calibrated", "format": 9, "model": {"kind": "ngram-head"}},
        {"kind": "calibrated", "format": 1, "model": {"kind": "calibrated"}},
        {"kind": "calibrated", "format": 1, "model": {"kind": "sklearn"}},
    ],
)
def test_a_folder_that_holds_no_calibrated_model_is_refused(config, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "calibration.json").write_text('{"format": 1, "column": "margin", "slope": 1.0}')
    with pytest.raises(rmplug.RmplugError):
        rmplug.open_folder(tmp_path) if config else rmplug.load(tmp_path)
