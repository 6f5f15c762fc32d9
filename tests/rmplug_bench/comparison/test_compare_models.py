"""Comparing models: exact tests, corrections, what could be seen, ranks and sentences."""

from __future__ import annotations

import gzip
import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Features, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug.stats.several_tests import adjust_holm
from rmplug.testing import check_step, small_features, small_pairs, small_responses
from rmplug_bench import Compare
from rmplug_bench.comparison._paired import (
    detectable,
    inseparable,
    mcnemar_p,
    ranks,
    sign_flip_p,
)

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
RNG = np.random.default_rng(0)


def pairs_of(n, **columns):
    ids = [f"p{i}" for i in range(n)]
    sides = {"chosen": ["xx", "x"] * (n // 2) + ["xx"] * (n % 2), "rejected": ["y"] * n}
    return Pairs({"id": ids, "prompt": [f"q{i}" for i in ids], **sides, **columns})


def rewards_of(data, **margins):
    return [
        Features({"id": data["id"], "margin": np.asarray(values, float)}, name)
        for name, values in margins.items()
    ]


def compared(data, rewards, seed=1, **params):
    params = {"resamples": 400, "baselines": ("longer", "random"), **params}
    return Compare(**params).evaluate(data, rewards, seed=seed).table.to_pylist()


def row_of(rows, metric, subset="all", **names):
    (row,) = (
        row
        for row in rows
        if row["metric"] == metric
        and row["subset"] == subset
        and all(row[key] == value for key, value in names.items())
    )
    return row


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 5), (9, 2), (30, 12), (400, 300)])
def test_one_decision_a_prompt_is_mcnemars_exact_test(wins, losses):
    differences = np.repeat([1.0, -1.0, 0.0], [wins, losses, 20])
    n = wins + losses
    expected = stats.binomtest(wins, n).pvalue if n else 1.0
    assert sign_flip_p(differences) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p(differences) == pytest.approx(expected, rel=1e-9)


def test_the_test_of_signs_counts_every_way_the_signs_could_fall():
    for differences in (RNG.integers(-4, 5, 9) / 2, RNG.integers(-3, 4, 8) / 3, np.ones(4) / 5):
        sums = [
            abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))
        ]
        expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-9)
        assert sign_flip_p(differences) == pytest.approx(expected)


def test_overwhelming_differences_have_a_small_p_that_is_not_zero():
    assert sign_flip_p(np.ones(3000)) == 1e-15


def test_the_test_holds_its_level_with_many_pairs_a_prompt_where_mcnemar_does_not():
    found = {"signs": 0, "mcnemar": 0}
    for _ in range(200):
        by_prompt = np.repeat(RNG.normal(size=40), 10)
        differences = np.sign(by_prompt + 0.3 * RNG.normal(size=400))
        found["signs"] += sign_flip_p(differences.reshape(40, 10).sum(axis=1)) < 0.05
        found["mcnemar"] += mcnemar_p(differences) < 0.05
    assert found["signs"] <= 20
    assert found["mcnemar"] > 60


def test_the_detectable_difference_is_found_four_times_in_five():
    m, disagree = 400, 0.3
    seen = detectable(np.repeat([1.0, -1.0, 0.0], [60, 60, 280]), m)
    assert 0.05 < seen < 0.1
    better = RNG.multinomial(
        m, [(disagree + seen) / 2, (disagree - seen) / 2, 1 - disagree], size=1500
    )
    found = [sign_flip_p(np.repeat([1.0, -1.0], counts[:2])) < 0.05 for counts in better]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert np.isnan(detectable(np.zeros(5), 5))


def test_equal_scores_share_ranks():
    assert ranks(np.array([0.5, 0.9, 0.5, 0.1])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_models_are_grouped_in_runs_in_which_none_is_apart():
    apart = {frozenset(pair) for pair in ((0, 2), (0, 3), (1, 3))}
    assert inseparable([0, 1, 2, 3], apart) == [[0, 1], [1, 2], [2, 3]]
    assert inseparable([0, 1, 2], set()) == [[0, 1, 2]]
    assert inseparable([0, 1], {frozenset((0, 1))}) == [[0], [1]]


def test_a_better_model_is_said_to_be_better_with_numbers_and_unit():
    data = pairs_of(200)
    good, bad = np.where(np.arange(200) % 10 == 0, -1, 1), np.where(np.arange(200) % 2, 1, -1)
    rows = compared(data, rewards_of(data, bad=bad, good=good))
    row = row_of(rows, "difference", model="good", other="bad")
    assert row["value"] == pytest.approx(0.4)
    assert row["p"] == row["p_holm"] == row["p_mcnemar"] == pytest.approx(
        2 * 0.5**79, rel=1e-3
    ) or (row["p"] < 1e-10)
    low, high = (f"{100 * row[end]:.0f}" for end in ("low", "high"))
    assert row["sentence"] == (
        "good is better than bad: accuracy 90.0 % and 50.0 %, paired difference 40.0 points "
        f"(95 % CI {low}–{high}; 200 pairs; p < 0.001)."
    )
    assert row_of(rows, "rank", model="good")["value"] == 1
    assert (row_of(rows, "rank", model="bad")["low"], len(rows)) == (2, len(rows))
    alone = [row["sentence"] for row in rows if row["metric"] == "not-significantly-different"]
    assert alone == [
        "good differs significantly from every other model (200 pairs).",
        "bad differs significantly from every other model (200 pairs).",
    ]


def test_models_too_close_do_not_differ_significantly_and_the_detectable_difference_is_told():
    data = pairs_of(60, group=[f"g{i // 2}" for i in range(60)])
    one = np.where(np.arange(60) < 40, 1, -1)
    two = np.where((np.arange(60) > 7) & (np.arange(60) < 43), 1, -1)
    rows = compared(data, rewards_of(data, one=one, two=two))
    row = row_of(rows, "difference", model="one", other="two")
    seen = row_of(rows, "minimum-detectable-difference", model="one", other="two")["value"]
    assert row["p"] == row["p_holm"] == pytest.approx(sign_flip_p(np.array([2, 2, 2, 2, -2, -1.0])))
    assert row["p_mcnemar"] == pytest.approx(stats.binomtest(8, 11).pvalue)
    assert row["sentence"].startswith(
        "one and two do not differ significantly: accuracy 66.7 % and 58.3 %, paired difference "
        "8.3 points (95 % CI −"
    )
    assert f"60 pairs in 30 groups; p = {row['p']:.2f})" in row["sentence"]
    assert row["sentence"].endswith(
        f"Minimum detectable difference at 80 % power: {100 * seen:.1f} points."
    )


def test_each_model_is_compared_with_the_baseline_that_is_best_there():
    data = pairs_of(40)
    rows = compared(data, rewards_of(data, shy=np.zeros(40)))
    row = row_of(rows, "difference", model="shy", other="longer")
    assert row["value"] == pytest.approx(0.5 - 0.75)
    assert row["sentence"].startswith(
        "shy is worse than the longer baseline: accuracy 50.0 % and 75.0 %, paired difference "
        "−25.0 points (95 % CI −"
    )
    assert row_of(rows, "accuracy", model="random")["low"] is None


def test_subsets_have_differences_corrected_among_themselves_and_no_sentence():
    data = pairs_of(80, subset=["s", "t"] * 40)
    one, two = RNG.normal(0.8, 1, 80), RNG.normal(0.3, 1, 80)
    rows = compared(data, rewards_of(data, one=one, two=two))
    parts = [r for r in rows if r["metric"] == "difference" and r["other"] in ("one", "two")]
    assert [row["subset"] for row in parts] == ["all", "s", "t"]
    assert [row["n"] for row in parts] == [80, 40, 40]
    corrected = adjust_holm(np.array([row["p"] for row in parts[1:]]))
    assert [row["p_holm"] for row in parts[1:]] == pytest.approx(corrected)
    assert [row["sentence"] is None for row in parts] == [False, True, True]


def test_a_pair_that_one_model_lacks_is_left_out_for_all_and_named():
    data = pairs_of(6)
    with collect_notices() as notices:
        rows = compared(data, rewards_of(data, one=[1, 1, 1, -1, 1, np.nan], two=[1] * 6))
    assert row_of(rows, "accuracy", model="two")["n"] == 5
    said = {notice.what: notice.ids for notice in notices.values()}
    assert said["pairs that not every model decides, left out"] == ["p5"]


def test_responses_are_compared_by_their_best_and_ties_share():
    prompts = [f"q{i // 3}" for i in range(30)]
    ids = [f"r{i}" for i in range(30)]
    data = Responses(
        {"id": ids, "prompt": prompts, "response": ["x"] * 30, "label": [1, 0, 0] * 10}
    )
    flat = Features({"id": ids, "reward": np.zeros(30)}, "flat")
    knows = Features({"id": ids, "reward": np.tile([2.0, 1.0, 0.0], 10)}, "knows")
    rows = compared(data, [flat, knows])
    assert row_of(rows, "accuracy", model="flat")["value"] == pytest.approx(1 / 3)
    row = row_of(rows, "difference", model="knows", other="flat")
    assert row["value"] == pytest.approx(2 / 3)
    assert row["p"] == pytest.approx(2 * 0.5**10)
    assert "; 10 choices;" in row["sentence"]


def test_models_are_compared_within_prompts_where_the_group_is_a_topic():
    ids = [f"r{i}" for i in range(60)]
    columns = {"prompt": [f"q{i // 3}" for i in range(60)], "label": [1, 0, 0] * 20}
    groups = {"group": [f"topic {i // 3 % 2}" for i in range(60)]}
    data = Responses({"id": ids, "response": ["x"] * 60, **columns, **groups})
    level = np.repeat(np.arange(20.0), 3)
    rewards = [Features({"id": ids, "reward": level + np.tile(one, 20)}, name)
               for name, one in (("good", [0.2, 0, 0.1]), ("bad", [0, 0.1, 0.2]))]  # fmt: skip
    row = row_of(compared(data, rewards), "difference", model="good", other="bad")
    assert (row["value"], row["n"]) == (1.0, 20)
    assert "; 20 choices in 2 groups;" in row["sentence"]


def test_prompts_without_a_wrong_or_a_right_response_decide_nothing_and_are_named():
    ids = ["a", "b", "c", "d"]
    data = Responses(
        {"id": ids, "prompt": ["p", "p", "q", "q"], "response": ["x"] * 4, "label": [1, 1, 1, 0]}
    )
    with collect_notices() as notices:
        rows = compared(data, [Features({"id": ids, "reward": [1.0, 2, 3, 4]}, "one")])
    assert row_of(rows, "accuracy", model="one")["n"] == 1
    (noticed,) = notices.values()
    assert (noticed.what, noticed.ids) == (
        "choices that not every model decides, left out",
        ["a"],
    )


def test_responses_without_labels_and_a_subset_called_all_are_refused():
    data = Responses({"id": ["a"], "prompt": ["p"], "response": ["x"]})
    with pytest.raises(DataError, match=r"responses need a column 'label' \(above 0 for a right"):
        compared(data, [Features({"id": ["a"], "reward": [1.0]}, "one")])
    pairs = pairs_of(2, subset=["all", "s"])
    with pytest.raises(DataError, match="a subset is called 'all', the name of the whole"):
        compared(pairs, rewards_of(pairs, one=[1, 1]))
    with pytest.raises(DataError, match="comparing needs a baseline that applies to the data"):
        compared(pairs_of(2), rewards_of(pairs_of(2), one=[1, 1]), baselines=("last-position",))


def test_the_evaluator_passes_the_checks_of_every_step_on_pairs_and_on_responses():
    check_step(Compare, {"resamples": 200})
    data = small_responses()
    score = small_features(data, "one").select("margin")
    rewards = [Features(score.table, "one")]
    check_step(Compare, {"resamples": 200}, {"data": data, "rewards": rewards})


def test_the_same_seed_gives_the_same_table_and_another_only_other_bounds():
    data = small_pairs()
    rewards = rewards_of(data, one=RNG.normal(size=7), two=RNG.normal(size=7))
    first, same, other = (compared(data, rewards, seed=seed) for seed in (3, 3, 4))
    assert first == same
    assert [row["value"] for row in first] == [row["value"] for row in other]


@pytest.fixture(scope="module")
def judged():
    folder = SHARED / "judgebench"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")

    def read(name):
        with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    scores = {}
    for row in read("scored.jsonl.gz"):
        scores[row["model"], row["meta"]["pair_id"], row["label"]] = row["score"]
    rows = [r for r in read("pairs.jsonl.gz") if r["meta"]["response_model"].startswith("gpt-4o")]
    names = ("id", "prompt", "chosen", "rejected", "subset")
    columns = {name: [row[name] for row in rows] for name in names}
    data = Pairs({**columns, "group": [row["meta"]["group"] for row in rows]})
    ids = data["id"].to_pylist()
    rewards = [
        Features({"id": ids, "margin": [scores[m, i, 1] - scores[m, i, 0] for i in ids]}, m)
        for m in sorted({model for model, _, _ in scores})
    ]
    return compared(data, rewards, resamples=2000)


def test_the_recorded_models_of_judgebench_cannot_be_told_apart(judged):
    ours = [r for r in judged if r["metric"] == "difference" and r["subset"] == "all"]
    models = [row for row in ours if row["other"] not in ("longer", "random")]
    assert len(models) == 10
    assert all("do not differ significantly" in row["sentence"] for row in models)
    first = row_of(
        judged,
        "difference",
        model="Skywork/Skywork-Reward-Gemma-2-27B",
        other="Ray2333/GRM-Gemma-2B-rewardmodel-ft",
    )
    assert first["value"] == pytest.approx(0.6412 - 0.5787, abs=1e-4)
    assert first["p"] == pytest.approx(0.1034, abs=1e-4)
    assert first["low"] < 0 < first["high"]
    (together,) = (row for row in judged if row["metric"] == "not-significantly-different")
    assert together["value"] == 5


def test_judges_whose_ratings_tie_half_of_all_pairs_are_ranked_by_what_the_data_tell():
    path = SHARED / "llmbar/scored.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    scores, rated = {}, {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            key = row["meta"]["pair_id"], row["label"]
            scores.setdefault(row["model"], {})[key] = (
                np.nan if row["score"] is None else row["score"]
            )
            rated[key] = row
    ids = [pair for pair, label in rated if label]
    sides = {s: [rated[i, k]["response"] for i in ids] for s, k in (("chosen", 1), ("rejected", 0))}
    groups = [rated[i, 1]["meta"]["group"] for i in ids]
    data = Pairs({"id": ids, "prompt": [rated[i, 1]["prompt"] for i in ids], **sides,
                  "group": groups})  # fmt: skip
    margins = {m: np.array([own[i, 1] - own[i, 0] for i in ids]) for m, own in scores.items()}
    table = compared(data, rewards_of(data, **margins), resamples=1000)
    runs = [row["value"] for row in table if row["metric"] == "not-significantly-different"]
    assert runs == [4, 1, 2]
    one, two = "ChatGPT/Rating", "ChatGPT/Rating_NoRules"
    ties = {m: int((margins[m] == 0).sum()) for m in (one, two)}
    assert ties == {one: 130, two: 117}
    decided = np.isfinite(np.stack(list(margins.values()))).all(axis=0)
    assert decided.sum() == 246
    apart = (np.sign(margins[one]) - np.sign(margins[two]))[decided] / 2
    by_prompt = np.bincount(np.unique(np.array(groups)[decided], return_inverse=True)[1], apart)
    row = row_of(table, "difference", model=one, other=two)
    assert row["value"] == pytest.approx(apart.mean())
    flipped = RNG.choice([-1, 1], size=(20_000, len(by_prompt))) @ by_prompt
    assert row["p"] == pytest.approx(np.mean(abs(flipped) >= abs(by_prompt.sum())), abs=0.015)
