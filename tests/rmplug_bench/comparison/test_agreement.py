"""Agreement: between models, with baselines and labels, and among repeated ratings."""

from __future__ import annotations

import gzip
import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Features, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_features, small_responses
from rmplug_bench import Agreement
from rmplug_bench.comparison._agreement import alpha, alpha_columns

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
RNG = np.random.default_rng(0)


def pairs_of(n, **columns):
    ids = [f"p{i}" for i in range(n)]
    sides = {"chosen": ["xx"] * n, "rejected": ["y"] * n}
    return Pairs({"id": ids, "prompt": [f"q{i}" for i in ids], **sides, **columns})


def rewards_of(data, column, **values):
    return [
        Features({"id": data["id"], column: np.asarray(own, float)}, name)
        for name, own in values.items()
    ]


def measured(data, rewards, **params):
    params = {"resamples": 300, "baselines": (), **params}
    rows = Agreement(**params).evaluate(data, rewards, seed=1).table.to_pylist()
    return {(r["metric"], r["row"], r["column"], r["subset"]): r for r in rows}


def test_decisions_kappa_and_correlations_of_four_pairs_are_those_worked_out_by_hand():
    data = pairs_of(4)
    found = measured(data, rewards_of(data, "margin", a=[2, 1, -1, -3], b=[4, -1, -2, 0]))

    def value(metric, row="a", column="b"):
        return found[metric, row, column, "all"]["value"]

    assert value("same-decision") == value("same-decision", "b", "a") == 0.5
    by_chance = 0 * 0.25 + 1 * 0.75 / 2
    assert value("kappa") == pytest.approx((0.5 - by_chance) / (1 - by_chance))
    expected = stats.spearmanr([2, 1, -1, -3], [4, -1, -2, 0]).statistic
    assert value("margin-spearman") == pytest.approx(expected)
    assert value("same-decision", "a", "label") == 0.5
    assert value("kappa", "a", "label") == 0.0
    assert value("all-right", None, None) == 0.25
    assert value("all-wrong", None, None) == 0.25


def test_a_model_agrees_with_itself_and_coins_agree_by_chance():
    data = pairs_of(2000)
    one, other = RNG.normal(size=(2, 2000))
    found = measured(data, rewards_of(data, "margin", one=one, twin=2 * one, other=other))
    twin, coin = (found["kappa", "one", name, "all"] for name in ("twin", "other"))
    assert twin["value"] == 1.0
    assert coin["low"] < 0 < coin["high"]
    assert found["margin-spearman", "one", "twin", "all"]["value"] == pytest.approx(1.0)


def test_models_agree_within_prompts_where_the_group_is_a_topic():
    ids = [f"r{i}" for i in range(60)]
    columns = {"prompt": [f"q{i // 3}" for i in range(60)], "label": [1, 0, 0] * 20}
    data = Responses({"id": ids, "response": ["x"] * 60, "group": ["one topic", "other"] * 30,
                      **columns, "case": [i // 3 for i in range(60)]})  # fmt: skip
    shift = np.repeat(RNG.normal(0, 9, 20), 3)
    scores = np.tile([2.0, 0, 1], 20)
    found = measured(data, rewards_of(data, "reward", a=scores, b=scores + shift))
    both = [found[metric, "a", "b", "all"] for metric in ("same-choice", "kendall")]
    assert [(row["value"], row["n"]) for row in both] == [(1.0, 20), (pytest.approx(1.0), 20)]


def test_baselines_stand_beside_models_and_subsets_have_their_own_cells():
    data = pairs_of(6, subset=["s", "s", "s", "t", "t", "t"])
    margins = rewards_of(data, "margin", one=[1, 1, 1, -1, -1, -1])
    found = measured(data, margins, baselines=("longer", "random"))
    same = {s: found["same-decision", "one", "longer", s]["value"] for s in ("all", "s", "t")}
    assert same == {"all": 0.5, "s": 1.0, "t": 0.0}
    assert found["same-decision", "one", "random", "all"]["value"] == 0.0
    assert ("margin-spearman", "one", "random", "all") not in found


def test_what_one_model_lacks_is_left_out_for_all_and_named():
    data = pairs_of(4)
    with collect_notices() as notices:
        found = measured(data, rewards_of(data, "margin", a=[1, 1, -1, np.nan], b=[1, 1, 1, 1]))
    assert found["same-decision", "a", "b", "all"]["n"] == 3
    said = {notice.what: notice.ids for notice in notices.values()}
    assert said["rows that not every model scores, left out"] == ["p3"]


def test_a_reward_called_label_is_refused():
    data = pairs_of(2)
    with pytest.raises(DataError, match="a reward is called 'label', the name of the label; rena"):
        measured(data, rewards_of(data, "margin", label=[1, 1]))


def responses_of(label=True, **columns):
    ids = [f"r{i}" for i in range(6)]
    labels = {"label": [1, 0, 0, 1, 0, 0]} if label else {}
    return Responses(
        {"id": ids, "prompt": ["p"] * 3 + ["q"] * 3, "response": ["x"] * 6, **labels, **columns}
    )


def test_choices_agree_where_the_same_response_is_best_and_ties_share():
    data = responses_of()
    found = measured(data, rewards_of(data, "reward", a=[3, 1, 2, 1, 1, 0], b=[9, 2, 5, 0, 7, 1]))
    cell = found["same-choice", "a", "b", "all"]
    assert cell["value"] == (1 + 0.5) / 2
    assert found["kappa", "a", "b", "all"]["value"] == pytest.approx((0.75 - 1 / 3) / (2 / 3))
    taus = [
        stats.kendalltau(x, y).statistic
        for x, y in (([3, 1, 2], [9, 2, 5]), ([1, 1, 0], [0, 7, 1]))
    ]
    assert found["kendall", "b", "a", "all"]["value"] == pytest.approx(np.mean(taus))
    assert found["kendall", "a", "label", "all"]["n"] == 2


def by_definition(values):
    """Krippendorff's alpha as mean squared differences, value by value."""
    units = [own[np.isfinite(own)] for own in values.T]
    units = [own for own in units if len(own) > 1]
    n = sum(map(len, units))
    within = sum(
        sum((a - b) ** 2 for a, b in combinations(own, 2)) * 2 / (len(own) - 1) for own in units
    )
    every = np.concatenate(units)
    among = sum((a - b) ** 2 for a, b in combinations(every, 2)) * 2 / (n - 1)
    return 1 - within / among


def test_alpha_is_that_of_the_definition_with_ratings_missing():
    values = RNG.integers(1, 6, 8) + RNG.integers(-1, 2, (3, 8)).astype(float)
    values[0, 2], values[1:, 5], values[2, 7] = np.nan, np.nan, np.nan
    sums = {name: column.sum() for name, column in alpha_columns(values).items()}
    assert float(alpha(sums)["alpha"]) == pytest.approx(by_definition(values))


def test_repeats_may_be_columns_or_rewards_and_unknown_ones_are_refused():
    ratings = {"ratings.one": [1.0, 2, 3, 4, 5, None], "ratings.two": [1.0, 2, 3, 5, 4, 1]}
    data = responses_of(**ratings)
    rewards = rewards_of(data, "reward", judge=[1, 2, 4, 4, 5, 1])
    found = measured(data, rewards, repeats=("one", "two", "judge"))
    row = found["krippendorff-alpha", None, None, "all"]
    values = np.array([[1, 2, 3, 4, 5, np.nan], [1, 2, 3, 5, 4, 1], [1, 2, 4, 4, 5, 1]])
    assert row["value"] == pytest.approx(by_definition(values))
    assert row["n"] == 6 and row["low"] <= row["value"] <= row["high"]
    with pytest.raises(DataError, match="no rating 'three' to repeat another; there are judge, on"):
        measured(data, rewards, repeats=("one", "three"))


def test_the_evaluator_passes_the_checks_of_every_step_on_pairs_and_on_responses():
    check_step(Agreement, {"resamples": 200})
    data = small_responses()
    one = Features(small_features(data, "one").select("margin").table, "one")
    given = {"data": data, "rewards": [one]}
    check_step(Agreement, {"resamples": 200}, given)


def read(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_the_recorded_models_of_judgebench_agree_as_is_known():
    scores = {}
    for row in read("judgebench/scored.jsonl.gz"):
        scores[row["model"], row["meta"]["pair_id"], row["label"]] = row["score"]
    rows = read("judgebench/pairs.jsonl.gz")
    rows = [row for row in rows if row["meta"]["response_model"].startswith("gpt-4o")]
    data = Pairs({k: [row[k] for row in rows] for k in ("id", "prompt", "chosen", "rejected")})
    ids = data["id"].to_pylist()
    models = {m: [scores[m, i, 1] - scores[m, i, 0] for i in ids] for m, _, _ in scores}
    found = measured(data, rewards_of(data, "margin", **models))
    gemma, llama, small = (
        "Skywork/Skywork-Reward-Gemma-2-27B",
        "Skywork/Skywork-Reward-Llama-3.1-8B",
        "Ray2333/GRM-Gemma-2B-rewardmodel-ft",
    )
    known = {(small, gemma): 0.5382, (gemma, llama): 0.8369}
    for both, rho in known.items():
        assert found["margin-spearman", *both, "all"]["value"] == pytest.approx(rho, abs=5e-5)
    assert found["all-right", None, None, "all"]["value"] == 74 / 216
    assert found["all-wrong", None, None, "all"]["value"] == 26 / 216


def test_the_reliability_of_three_repeated_judgements_is_high_and_below_one():
    rows = read("judge_repeats/ratings.jsonl.gz")
    scores = np.array([row["meta"]["scores"] for row in rows], dtype=float).T
    columns = {f"ratings.draw-{k}": own for k, own in enumerate(scores)}
    texts = {name: [row[name] for row in rows] for name in ("id", "prompt", "response")}
    data = Responses({**texts, **columns})
    mean = rewards_of(data, "reward", mean=scores.mean(axis=0))
    found = measured(data, mean, repeats=("draw-0", "draw-1", "draw-2"))
    row = found["krippendorff-alpha", None, None, "all"]
    assert row["value"] == pytest.approx(by_definition(scores))
    assert row["low"] < row["value"] < row["high"] < 1
