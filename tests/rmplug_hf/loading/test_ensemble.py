"""Several models as one: what is combined, what is kept, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from direct import direct_scores

import rmplug
import rmplug_hf
import rmplug_text
from rmplug import DataError, RewardModel
from rmplug.data.rows import one_batch
from rmplug.testing import LengthModel, registry_of, small_pairs, small_responses
from rmplug_hf import Ensemble, SequenceClassifier
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
    for combine in ("mean", "median", "minimum", "pessimistic"):
        _, scores = scored((MEMBERS[0], Constant("odd", float("nan"))), combine=combine)
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
