"""Rewards that are there already, combined as an ensemble does, and how far they disagree."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from rmplug import DataError, Features, Known, Pairs, StepError
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, run_step, small_pairs, small_responses
from rmplug_hf import Ensemble, ScoreScales
from rmplug_hf.loading.combining import CombineRewards
from rmplug_text.queries import Reward

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)


class Tenfold(LengthModel):
    """Ten times what the other gives, turned round."""

    def score(self, responses):
        return 1 - 10 * super().score(responses)


@pytest.fixture(scope="module")
def models():
    length, tenfold = LengthModel(), Tenfold()
    length.name, tenfold.name = "length", "tenfold"
    return length, tenfold


def asked(models, data):
    return [Features(Reward().query(model, data).table, model.name) for model in models]


COMBINATIONS = [
    {},
    {"combine": "median"},
    {"combine": "minimum"},
    {"combine": "pessimistic", "k": 0.5},
    {"combine": "weighted", "weights": {"length": 2.0, "tenfold": -0.5}},
]


@pytest.mark.parametrize("params", COMBINATIONS)
@pytest.mark.parametrize("data", [small_pairs(), small_responses()], ids=["pairs", "responses"])
def test_rewards_combine_to_what_an_ensemble_of_their_models_gives(models, data, params):
    scales = {"length": {"mean": 0.3, "deviation": 0.1}, "tenfold": {"deviation": 2.0}}
    ensemble = Ensemble(scales=scales, **params).load(models)
    expected = Reward().query(ensemble, data).table
    found = CombineRewards(scales=scales, **params).compute(asked(models, data)).table
    own = set(found.column_names) - {"disagreement", "opposite"}
    of_members = ("probability.member.", "loss.member.")
    assert own == {name for name in expected.column_names if not name.startswith(of_members)}
    for name in own - {"id", "group"}:
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-9)


def margins(**members):
    ids = [f"p{i}" for i in range(len(next(iter(members.values()))))]
    return [
        Features({"id": ids, "margin": np.array(own, float)}, name) for name, own in members.items()
    ]


def test_disagreement_and_opposite_decisions_are_those_worked_out_by_hand():
    rewards = margins(a=[1.0, 2, -3, 0], b=[1.0, -2, 3, 1], c=[1.0, 1, 1, -1])
    table = CombineRewards(members=False).compute(rewards).table
    assert table["disagreement"].to_numpy() == pytest.approx(
        [0, np.std([2, -2, 1]), np.std([-3, 3, 1]), np.std([0, 1, -1])]
    )
    assert table["opposite"].to_pylist() == [0, 2, 2, 1]
    assert [name for name in table.column_names if "member" in name] == []


def test_a_missing_score_is_missing_in_the_combination_and_counted():
    rewards = margins(a=[1.0, np.nan], b=[1.0, 2])
    with collect_notices() as notices:
        table = CombineRewards().compute(rewards).table
    for name in ("margin", "loss", "probability", "disagreement", "opposite"):
        assert np.isfinite(table[name].to_numpy()).tolist() == [True, False]
    assert [one.ids for one in notices.values()] == [["p1"]]


def test_scales_measured_on_a_reference_set_are_used(models, tmp_path):
    rewards = asked(models, small_pairs())
    raw = Features(CombineRewards().compute(rewards).table, "raw")
    fit = run_step(ScoreScales(by="margins"), {"rewards": raw}, tmp_path)
    table = CombineRewards().compute(rewards, fit).table
    # one is minus ten times the other, so that on one scale they cancel out
    assert np.abs(table["margin"].to_numpy()).max() < 1e-9
    twice = 2 * table["margin.member.length"].to_numpy()
    difference = twice / 2 - table["margin.member.tenfold"].to_numpy()
    assert difference == pytest.approx(twice)


def test_a_part_of_the_data_keeps_its_rows_in_its_order():
    rewards = margins(a=[1.0, 2, 3], b=[3.0, 2, 1])
    texts = {name: ["x", "y"] for name in ("prompt", "chosen", "rejected")}
    part = Pairs({"id": ["p2", "p0"], **texts}, "part")
    table = CombineRewards().compute(rewards, data=part).table
    assert table["id"].to_pylist() == ["p2", "p0"]
    assert table["margin.member.a"].to_pylist() == [3.0, 1.0]
    other = Pairs({"id": ["p0", "p7"], **texts}, "other")
    with pytest.raises(DataError, match=r"a has no row for 1 of 2 rows of other \(p7\)"):
        CombineRewards().compute(rewards, data=other)


def test_what_cannot_be_combined_is_refused_in_one_sentence():
    rewards = margins(a=[1.0], b=[2.0])
    with pytest.raises(
        DataError, match="minimum needs the scores of both responses.* known of a, b;"
    ):
        CombineRewards(combine="minimum").compute(rewards)
    with pytest.raises(DataError, match="a combination needs two rewards at least"):
        CombineRewards().compute(rewards[:1])
    words = Features({"id": ["p0"], "words": [3.0]}, "words")
    with pytest.raises(
        DataError, match="neither 'reward' nor 'margin' in common .*words has words"
    ):
        CombineRewards().compute([rewards[0], words])
    with pytest.raises(DataError, match="weights names 'c', which is no member"):
        CombineRewards(combine="weighted", weights={"a": 1, "c": 1}).compute(rewards)


def test_mistakes_are_told_before_the_run():
    def told(step, *columns):
        rewards = [
            Known((Features,), columns=dict.fromkeys(own, "number"), step=f"r{index}")
            for index, own in enumerate(columns)
        ]
        return list(step.mistakes({"rewards": rewards}))

    pairs, judge, responses = ("chosen", "rejected", "margin"), ("margin",), ("reward",)
    assert told(CombineRewards(), pairs, judge) == []
    assert told(CombineRewards(), pairs) == [
        ("rewards", "a combination needs two rewards at least")
    ]
    [(where, said)] = told(CombineRewards(combine="pessimistic"), pairs, judge)
    assert where == "combine" and said.startswith("pessimistic needs the scores of both responses")
    assert told(CombineRewards(), pairs, responses) == [
        ("rewards", "some are rewards of pairs, others of responses; name one sort")
    ]
    assert told(CombineRewards(), pairs, ("words",)) == [
        ("rewards.1", "r1 has no column reward or margin")
    ]


def test_rewards_of_other_rows_are_refused(tmp_path):
    rewards = margins(a=[1.0, 2], b=[1.0, 2])
    other = Features({"id": ["p0", "p9"], "margin": [1.0, 2]}, "c")
    with pytest.raises(StepError, match=r"c has no row for 1 of 2 ids \(p1\)"):
        run_step(CombineRewards(), {"rewards": [rewards[0], other]}, tmp_path)


def test_the_computer_passes_the_checks_of_every_step(models):
    data = small_pairs()
    check_step(CombineRewards, {}, {"rewards": asked(models, data), "data": data})


def recorded(name):
    """Rewards of every recorded model on the pairs that all of them were asked about."""
    path = SHARED / name / "scored.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    scores: dict[str, dict[tuple[str, int], float]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            key = row["meta"]["pair_id"], row["label"]
            value = np.nan if row["score"] is None else row["score"]
            scores.setdefault(row["model"], {})[key] = value
    ids = list(dict.fromkeys(pair for own in scores.values() for pair, _ in own))
    sides = [[np.array([own[pair, side] for pair in ids]) for side in (1, 0)]
             for own in scores.values()]  # fmt: skip
    return [
        Features({"id": ids, "chosen": c, "rejected": r, "margin": c - r}, f"m{k}")
        for k, (c, r) in enumerate(sides)
    ]


@pytest.mark.parametrize(
    ("name", "pairs", "of_z", "majority", "right"),
    [
        ("judgebench", 216, 0.6204, 0.6204, 74),
        ("rewardmath", 279, 0.9427, 0.9355, 10),
        ("llmbar", 246, 0.8333, 0.7276, 36),
    ],
)
def test_ensembles_of_recorded_models_are_as_is_known(name, pairs, of_z, majority, right):
    rewards = recorded(name)
    alone = np.stack([one.table["margin"].to_numpy() for one in rewards])
    known = np.isfinite(alone).all(axis=0)
    scales = {
        one.name: {"deviation": own.std()}
        for one, own in zip(rewards, alone[:, known], strict=True)
    }
    with collect_notices():
        table = CombineRewards(scales=scales).compute(rewards).table
    margin = table["margin"].to_numpy()[known]
    assert len(margin) == pairs
    assert np.mean(margin > 0) == pytest.approx(of_z, abs=5e-5)
    votes = alone[:, known] > 0
    assert np.mean(votes.mean(axis=0) > 0.5) == pytest.approx(majority, abs=5e-5)
    lost = (alone[:, known] < 0).sum(axis=0)
    assert table["opposite"].to_numpy()[known].tolist() == (lost * votes.sum(axis=0)).tolist()
    assert votes.all(axis=0).sum() == right
