"""Several models as one: what is combined, what is kept, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from direct import direct_scores
from pydantic import ValidationError

import rmplug
import rmplug_hf
import rmplug_text
from rmplug import DataError, Features, RewardModel, SpecError, StepError, join
from rmplug.data.rows import one_batch
from rmplug.testing import (
    LengthModel,
    check_step,
    registry_of,
    run_step,
    small_pairs,
    small_responses,
)
from rmplug_hf import Ensemble, ScoreScales, SequenceClassifier
from rmplug_text.queries import Reward


class Constant(RewardModel):
    """The same scores for every response."""

    def __init__(self, name, *scores, outputs=("reward",)):
        self.name, self.scores, self.outputs = name, scores, outputs

    def score(self, responses):
        found = np.tile(np.array(self.scores, dtype=float), (responses.num_rows, 1))
        return found if len(self.outputs) > 1 else found[:, 0]


MEMBERS = (Constant("a", 1.0), Constant("b", 2.0), Constant("c", 6.0))


def scored(members=MEMBERS, **params):
    model = Ensemble(**params).load(members)
    return model.outputs, model.score(one_batch(small_responses(2).table))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 3.0),
        ({"combine": "median"}, 2.0),
        ({"combine": "minimum"}, 1.0),
        ({"combine": "pessimistic"}, 3.0 - np.sqrt(14 / 3)),
        ({"combine": "weighted", "weights": {"b": 2.0, "c": 0.5, "a": -1.0}}, 6.0),
        ({"combine": "pessimistic", "k": 2}, 3.0 - 2 * np.sqrt(14 / 3)),
    ],
)
def test_scores_are_combined_and_each_is_kept(params, expected):
    outputs, scores = scored(**params)
    assert outputs == ("reward", "member.a", "member.b", "member.c")
    assert scores == pytest.approx(np.array([[expected, 1, 2, 6]] * 2))


def test_members_can_be_left_out():
    model = Ensemble(members=False).load(MEMBERS)
    assert model.outputs == ("reward",)
    assert model.score(one_batch(small_responses(3).table)).tolist() == [3.0] * 3


def test_scales_bring_members_to_one_unit():
    scales = {
        "a": {"mean": 1, "deviation": 2},
        "b": {"deviation": 4},
        "c": {"mean": 3, "deviation": 1},
    }
    _, scores = scored(scales=scales)
    assert scores[0].tolist() == pytest.approx([3.5 / 3, 0.0, 0.5, 3.0])


def test_a_member_with_several_outputs_takes_part_with_its_reward():
    several = Constant("several", 5.0, 4.0, outputs=("style", "reward"))
    _, scores = scored((MEMBERS[0], several))
    assert scores[0].tolist() == [2.5, 1.0, 4.0]


def test_a_missing_score_of_a_member_is_a_missing_score():
    weights = {"weights": {"a": 1.0, "odd": 0.0}}
    for combine in ("mean", "weighted", "median", "minimum", "pessimistic"):
        more = weights if combine == "weighted" else {}
        _, scores = scored((MEMBERS[0], Constant("odd", float("nan"))), combine=combine, **more)
        assert np.isnan(scores[0, 0]) and scores[0, 1] == 1.0


@pytest.mark.parametrize(
    ("members", "params", "sentence"),
    [
        (MEMBERS[:1], {}, "an ensemble needs two models at least"),
        ((MEMBERS[0], MEMBERS[0]), {}, "a model is in the ensemble twice: a, a"),
        (
            (MEMBERS[0], Constant("odd", 1.0, 2.0, outputs=("help", "harm"))),
            {},
            "odd has the outputs help, harm; set only: to the one that takes part in the ensemble",
        ),
        (
            MEMBERS[:2],
            {"scales": {"a": {"deviation": 1}}},
            "scales lacks b; give the scale of every member, or of none",
        ),
        (
            MEMBERS[:2],
            {"scales": {"x": {"deviation": 1}}},
            "scales names 'x', which is no member; members are a, b",
        ),
        (
            MEMBERS[:2],
            {"combine": "weighted", "weights": {"a": 1}},
            "weights lacks b; give the weight of every member, or of none",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(members, params, sentence):
    with pytest.raises(DataError) as error:
        scored(members, **params)
    assert str(error.value) == sentence


def test_pairs_get_the_margin_of_the_ensemble_and_of_each_member():
    length, doubled = LengthModel(), Twice()
    length.name, doubled.name = "length", "twice"
    model = Ensemble().load([length, doubled])
    table = Reward().query(model, small_pairs()).table
    margins = table["margin.member.length"].to_numpy()
    assert table["margin"].to_numpy() == pytest.approx(1.5 * margins)
    assert table["margin.member.twice"].to_numpy() == pytest.approx(2 * margins)
    assert "chosen" in table.column_names and "chosen.member.twice" in table.column_names


class Twice(LengthModel):
    """Twice what the other gives."""

    def score(self, responses):
        return 2 * super().score(responses)


def test_a_spec_combines_loaded_models(tiny, tmp_path):
    folders = [tiny("gpt2", seed=1), tiny("llama", seed=2)]
    kind = SequenceClassifier.kind
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Is {n} prime?", "chosen": "Yes.", "rejected": "No, why?"} for n in "2357"]
    file.write_text("\n".join(map(json.dumps, rows)))
    params = [{"path": str(folder), "device": "cpu"} for folder in folders]
    steps = {
        "data": {"kind": "pairs-file", "params": {"path": str(file)}},
        "one": {"kind": kind, "params": params[0]},
        "two": {"kind": kind, "params": params[1]},
        "both": {"kind": "ensemble", "inputs": ["one", "two"], "params": {"combine": "minimum"}},
        "reward": {"kind": "reward", "inputs": {"model": "both", "data": "data"}},
        "alone": {"kind": "to-responses", "inputs": "data"},
        "each": {"kind": "reward", "inputs": {"model": "both", "data": "alone"}},
    }
    registry = registry_of(rmplug_hf, rmplug_text)
    done = rmplug.run({"name": "both", "steps": steps}, store=tmp_path, registry=registry)
    direct = np.stack([direct_scores(f, done["alone"])[:, 0] for f in folders])
    table = done["each"].table
    assert table.column_names[2:] == ["reward", "reward.member.one", "reward.member.two"]
    assert np.abs(table["reward.member.two"].to_numpy() - direct[1]).max() < 1e-5
    assert np.abs(table["reward"].to_numpy() - direct.min(axis=0)).max() < 1e-5
    pairs = done["reward"].table
    assert pairs["chosen"][0].as_py() == pytest.approx(direct.min(axis=0)[0], abs=1e-5)


@pytest.mark.parametrize("params", [{"combine": "weighted"}, {"weights": {"a": 1.0}}])
def test_weights_and_the_combination_that_uses_them_go_together(params):
    with pytest.raises(ValidationError, match="combine: weighted and weights go together"):
        Ensemble(**params)


def member_scores(rows=200, **members):
    """Rewards that an ensemble of two members gives of pairs, two to a prompt."""
    rng = np.random.default_rng(0)
    columns = {"id": [f"p{n}" for n in range(rows)], "group": [f"g{n // 2}" for n in range(rows)]}
    for name, (mean, deviation) in members.items():
        for side in ("chosen", "rejected"):
            columns[f"{side}.member.{name}"] = rng.normal(mean, deviation, rows)
        both = (columns[f"{side}.member.{name}"] for side in ("chosen", "rejected"))
        columns[f"margin.member.{name}"] = np.subtract(*both)
    return Features(columns, "rewards")


@pytest.mark.parametrize("by", ["scores", "margins"])
def test_scales_are_those_of_the_reference_set(by, tmp_path):
    rewards = member_scores(a=(5.0, 2.0), b=(-1.0, 0.1))
    fit = run_step(ScoreScales(by=by), {"rewards": rewards}, tmp_path)
    found = {(one["metric"], one["subset"]): one for one in fit.numbers}
    for (metric, member), truth in {
        ("mean", "a"): 5.0,
        ("deviation", "a"): 2.0,
        ("mean", "b"): -1.0,
        ("deviation", "b"): 0.1,
    }.items():
        one = found[metric, member]
        assert one["low"] < truth < one["high"] < one["low"] + 0.3 * max(truth, 2)
    predicted = fit.open().predict(join([rewards]).table)
    if by == "scores":
        both = rewards["chosen.member.a"].to_numpy(), rewards["rejected.member.a"].to_numpy()
        assert found["deviation", "a"]["value"] == pytest.approx(np.std(both))
    assert list(predicted) == ["a", "b"]
    assert np.std(predicted["a"]) == pytest.approx(1, abs=0.1)
    check_step(ScoreScales, {"by": by}, {"rewards": rewards})


def test_scales_that_cannot_be_measured_are_refused(tmp_path):
    flat = member_scores(a=(5.0, 0.0))
    with pytest.raises(StepError, match="all scores of a are the same on the reference set"):
        run_step(ScoreScales(), {"rewards": flat}, tmp_path)
    (tmp_path / "scales.json").write_text('{"a": {"mean": 0, "deviation": 0}}')
    with pytest.raises(DataError, match="does not hold scales"):
        ScoreScales.open(tmp_path)


ASPECTS = {
    "pairs": {"kind": "synthetic", "params": {"size": 200}},
    "train": {"kind": "split", "inputs": "pairs", "params": {"test": 0.5}},
    "reference": {"kind": "split", "inputs": "pairs", "params": {"test": 0.5, "part": "test"}},
    "help": {"kind": "ngram-head", "inputs": "train", "params": {"folds": 2, "l2": [0.01]}},
    "harm": {"kind": "ngram-head", "inputs": "train", "params": {"folds": 2, "l2": [10.0]}},
    "raw": {"kind": "ensemble", "inputs": ["help", "harm"]},
    "rewards": {"kind": "reward", "inputs": {"model": "raw", "data": "reference"}},
    "scales": {"kind": "score-scales", "inputs": "rewards"},
    "both": {
        "kind": "ensemble",
        "inputs": {"models": ["help", "harm"], "reference": "scales"},
        "params": {"combine": "weighted", "weights": {"help": 0.7, "harm": 0.3}},
    },
    "reward": {"kind": "reward", "inputs": {"model": "both", "data": "reference"}},
}


def test_one_model_per_aspect_is_weighed_on_scales_of_a_reference_set(tmp_path):
    done = rmplug.run({"name": "aspects", "steps": ASPECTS}, store=tmp_path)
    raw, both = done["rewards"].table, done["reward"].table
    expected = np.zeros(len(raw))
    for member, weight in (("help", 0.7), ("harm", 0.3)):
        every = np.concatenate([raw[f"{s}.member.{member}"] for s in ("chosen", "rejected")])
        expected += (
            weight * (raw[f"chosen.member.{member}"].to_numpy() - every.mean()) / every.std()
        )
    assert np.abs(both["chosen"].to_numpy() - expected).max() < 1e-9


def test_members_that_do_not_match_are_told_before_anything_runs(tmp_path):
    steps = json.loads(json.dumps(ASPECTS))
    steps["both"]["params"]["weights"] = {"help": 1.0, "hram": 1.0}
    steps["other"] = {
        "kind": "ensemble",
        "inputs": {"models": ["help", "both"], "reference": "scales"},
    }
    steps["wrong"] = {"kind": "score-scales", "inputs": "alone"}
    inputs = {"model": "help", "data": "reference"}
    steps["alone"] = {"kind": "reward", "inputs": inputs, "params": {"store": "margin"}}
    with pytest.raises(SpecError) as error:
        rmplug.run({"name": "aspects", "steps": steps}, store=tmp_path)
    text = str(error.value)
    assert "weights names 'hram', which is no member; did you mean 'harm'?" in text
    assert "weights lacks harm; give the weight of every member, or of none" in text
    assert "scales: scales lacks both; give the scale of every member, or of none" in text
    assert "alone gives no scores; give what the query reward gives of a model" in text
