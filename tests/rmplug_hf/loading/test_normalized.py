"""Rewards in units of a reference set."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rmplug
from rmplug import DataError, SpecError
from rmplug.data.rows import one_batch
from rmplug.testing import LengthModel, check_step, run_step, small_pairs, small_responses
from rmplug_hf import Normalized, ScoreScales
from rmplug_text.queries import Reward

STEPS = {
    "pairs": {"kind": "synthetic", "params": {"size": 120}},
    "reference": {"kind": "split", "inputs": "pairs", "params": {"test": 0.5, "part": "test"}},
    "other": {"kind": "split", "inputs": "pairs", "params": {"test": 0.5}},
    "head": {"kind": "ngram-head", "inputs": "other", "params": {"folds": 2, "l2": [0.01]}},
    "raw": {"kind": "reward", "inputs": {"model": "head", "data": "reference"}},
    "scales": {"kind": "score-scales", "inputs": "raw"},
    "unit": {"kind": "normalized", "inputs": {"model": "head", "reference": "scales"}},
    "reward": {"kind": "reward", "inputs": {"model": "unit", "data": "reference"}},
    "again": {"kind": "reward", "inputs": {"model": "unit", "data": "other"}},
    "both": {"kind": "ensemble", "inputs": ["unit", "head"]},
    "combined": {"kind": "reward", "inputs": {"model": "both", "data": "reference"}},
    "compared": {"kind": "compare", "inputs": {"data": "reference", "rewards": ["raw", "reward"]}},
}


class Twins(LengthModel):
    """Lengths, and 100 plus ten times these."""

    outputs = ("reward", "long")

    def score(self, responses):
        lengths = super().score(responses)
        return np.stack([lengths, 100 + 10 * lengths], axis=1)


def scales(model, folder, data=None, **params):
    rewards = Reward().query(model, data or small_pairs())
    return run_step(ScoreScales(**params), {"rewards": rewards}, folder)


def test_it_conforms(tmp_path):
    check_step(Normalized, {}, {"reference": scales(LengthModel(), tmp_path)})


def test_rewards_have_mean_0_and_deviation_1_on_the_reference_set(tmp_path):
    done = rmplug.run({"name": "unit", "steps": STEPS}, store=tmp_path)
    raw, unit = done["raw"].table, done["reward"].table
    both = np.concatenate([unit["chosen"].to_numpy(), unit["rejected"].to_numpy()])
    assert np.abs([both.mean(), both.std() - 1]).max() < 1e-12
    deviation = next(n["value"] for n in done["scales"].numbers if n["metric"] == "deviation")
    np.testing.assert_allclose(unit["margin"], raw["margin"].to_numpy() / deviation, rtol=1e-9)
    assert abs(done["again"].table["chosen"].to_numpy().mean()) < 3
    member = done["combined"].table["chosen.member.unit"].to_numpy()
    np.testing.assert_array_equal(member, unit["chosen"].to_numpy())


@pytest.mark.parametrize("data", [small_pairs(), small_responses()], ids=["pairs", "responses"])
def test_each_output_has_its_own_scale(tmp_path, data):
    fit = scales(Twins(), tmp_path, data)
    assert {one["subset"] for one in fit.numbers} == {"reward", "long"}
    model = Normalized().load(Twins(), fit)
    found = model.score(one_batch(small_responses().table))
    assert model.outputs == ("reward", "long")
    np.testing.assert_allclose(found[:, 0], found[:, 1])
    np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-12)


def test_the_unit_can_be_the_spread_within_pairs(tmp_path):
    model = Normalized().load(LengthModel(), scales(LengthModel(), tmp_path, by="margins"))
    margins = Reward().query(model, small_pairs()).table["margin"].to_numpy()
    assert np.mean(margins**2) == pytest.approx(2)


def test_scales_predict_what_the_model_would_give(tmp_path):
    fit = scales(Twins(), tmp_path)
    rewards = rmplug.join([rmplug.Features(Reward().query(Twins(), small_pairs()).table, "r")])
    predicted = fit.open().predict(rewards.table)
    assert list(predicted) == ["reward", "long"]
    np.testing.assert_allclose(predicted["reward"], predicted["long"])


def test_scales_of_another_model_are_refused_before_and_while_running(tmp_path):
    fit = scales(Twins(), tmp_path)
    with pytest.raises(DataError, match="measured the scores of reward, long, and the model gives"):
        Normalized().load(LengthModel(), fit)
    steps = json.loads(json.dumps(STEPS))
    steps["unit"]["inputs"]["reference"] = "sure"
    steps["sure"] = {"kind": "calibration", "inputs": "raw"}
    steps["members"] = {"kind": "score-scales", "inputs": "combined"}
    steps["wrong"] = {"kind": "normalized", "inputs": {"model": "both", "reference": "members"}}
    with pytest.raises(SpecError) as error:
        rmplug.run({"name": "unit", "steps": steps}, store=tmp_path)
    assert "sure is made by calibration; give a step score-scales" in str(error.value)
    assert "members: it measured the scores of unit, head, and the model gives" in str(error.value)
