"""The best of N: exact over all subsets, over-optimisation, and orders against ratings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.metrics import ndcg_score

from rmplug import DataError, Features, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_features, small_responses
from rmplug_bench import BestOfN
from rmplug_bench.comparison._best_of_n import chances, divergence_of, ndcg, order_of, top
from rmplug_bench.comparison._concordance import kendall

RNG = np.random.default_rng(0)
CHOICE = RNG.permutation(np.repeat([0, 1, 2], [5, 7, 4]))
SCORES = RNG.integers(0, 4, 16).astype(float)
GOLD = RNG.normal(size=16)


def choices(prompts, each, **columns):
    ids = [f"q{i}/{j}" for i in range(prompts) for j in range(each)]
    names = [f"question {i}" for i in range(prompts) for _ in range(each)]
    texts = ["x" * (1 + k % 7) for k in range(prompts * each)]
    return Responses({"id": ids, "prompt": names, "response": texts, **columns})


def score(data, values, name="proxy"):
    return Features({"id": data["id"], "reward": np.asarray(values, float).ravel()}, name)


def measured(data, rewards, gold=None, seed=1, **params):
    params = {"resamples": 400, "baselines": ("random",), **params}
    return BestOfN(**params).evaluate(data, rewards, gold, seed=seed).table.to_pylist()


def curve(rows, metric, model="proxy", key="value", subset="all"):
    return {
        row["at"]: row[key]
        for row in rows
        if (row["metric"], row["model"], row["subset"]) == (metric, model, subset)
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_expected_gold_is_the_mean_over_every_subset_with_ties_shared(size):
    order = order_of(CHOICE, SCORES)
    found = order.sum_of(GOLD * chances(order, size))
    for choice in range(3):
        means = []
        for subset in combinations(np.flatnonzero(choice == CHOICE), size):
            rows = np.array(subset)
            best = rows[SCORES[rows] == SCORES[rows].max()]
            means.append(GOLD[best].mean())
        assert found[choice] == pytest.approx(np.mean(means))


def test_a_choice_with_fewer_than_n_responses_chooses_none():
    order = order_of(CHOICE, SCORES)
    assert order.sum_of(chances(order, 6)) == pytest.approx([0, 1, 0])


def test_hundreds_of_responses_stay_exact():
    order = order_of(np.zeros(1000, dtype=np.int64), np.arange(1000.0))
    for size in (1, 10, 500, 1000):
        expected = size * 1001 / (size + 1) - 1
        assert (chances(order, size) @ np.arange(1000.0)) == pytest.approx(expected)


def test_kendall_and_ndcg_are_those_of_scipy_and_scikit_learn():
    ratings = RNG.integers(0, 5, 16).astype(float)
    order = order_of(CHOICE, SCORES)
    tau, gain = kendall(CHOICE, SCORES, ratings), ndcg(order, ratings)
    for choice in range(3):
        own = choice == CHOICE
        assert tau[choice] == pytest.approx(kendalltau(SCORES[own], ratings[own]).statistic)
        assert gain[choice] == pytest.approx(ndcg_score([ratings[own]], [SCORES[own]]))


def test_the_top_is_right_as_often_as_tied_responses_are_among_the_best_rated():
    choice = np.array([0, 0, 0, 1, 1])
    order = order_of(choice, np.array([2.0, 2.0, 1.0, 0.0, 1.0]))
    assert top(order, np.array([5.0, 1.0, 5.0, 3.0, 2.0])).tolist() == [0.5, 0.0]


def test_a_score_that_is_its_own_gold_is_the_oracle_and_random_is_flat():
    gold = RNG.normal(size=(40, 8))
    data = choices(40, 8, label=(gold > 0.5).astype(int).ravel())
    rows = measured(data, [score(data, gold)], score(data, gold, "judge"))
    assert list(curve(rows, "best-of-n-gold")) == [1.0, 2.0, 4.0, 8.0]
    assert curve(rows, "best-of-n-gold") == pytest.approx(curve(rows, "best-of-n-gold", "oracle"))
    flat = curve(rows, "best-of-n-gold", "random")
    assert list(flat.values()) == pytest.approx([gold.mean()] * 4)
    assert curve(rows, "best-of-n-gold")[8.0] == pytest.approx(gold.max(axis=1).mean())
    assert curve(rows, "best-of-n-accuracy")[1.0] == pytest.approx((gold > 0.5).mean())
    assert set(curve(rows, "proxy-gold-divergence").values()) == {0.0}
    assert curve(rows, "best-of-n-gold", key="kl")[4.0] == pytest.approx(np.log(4) - 0.75)
    assert divergence_of(1) == 0.0


def test_a_score_with_wild_errors_is_found_to_be_over_optimised_and_said_so():
    gold = RNG.normal(size=(300, 64))
    wild = gold + 0.7 * RNG.standard_t(1.5, size=gold.shape)
    data = choices(300, 64)
    rows = measured(data, [score(data, wild)], score(data, gold, "judge"))
    worth = curve(rows, "best-of-n-gold")
    assert worth[8.0] > worth[64.0] + 0.1
    apart = curve(rows, "proxy-gold-divergence")
    assert apart[64.0] > 1 > abs(apart[2.0])
    (peak,) = (row for row in rows if row["metric"] == "best-n")
    (fall,) = (row for row in rows if row["metric"] == "fall-after-best-n")
    assert peak["low"] <= peak["value"] == max(worth, key=worth.get) <= peak["high"] < 64
    assert fall["value"] == pytest.approx(max(worth.values()) - worth[64.0])
    assert fall["low"] > 0
    assert peak["sentence"].startswith(
        f"Choosing by proxy beyond N = {peak['value']:.0f} (95 % CI "
    )
    assert "lowers the gold score: at N = 64 it is" in peak["sentence"]
    assert peak["sentence"].endswith("), while proxy rises (300 choices).")


def test_a_score_that_turns_right_and_wrong_round_is_said_to_do_harm_from_the_first():
    data = choices(20, 4, label=[1, 1, 0, 0] * 20)
    rows = measured(data, [score(data, [0, 1, 2, 3] * 20)])
    (peak,) = (row for row in rows if row["metric"] == "best-n")
    assert peak["sentence"] == (
        "Choosing by proxy beyond N = 1 lowers the accuracy of the choice: at N = 4 it is 50.0 "
        "points lower (95 % CI 50.0–50.0), while proxy rises (20 choices)."
    )


def test_a_missing_gold_score_is_counted_once():
    gold = np.arange(8.0)
    gold[1] = np.nan
    data = choices(2, 4)
    with collect_notices() as notices:
        measured(data, [score(data, np.arange(8.0))], score(data, gold, "judge"))
    said = {notice.what: notice.count for notice in notices.values()}
    assert said["judge: no finite score"] == 1


def test_an_honest_score_is_not_said_to_fall():
    gold = RNG.normal(size=(60, 8))
    data = choices(60, 8)
    rows = measured(data, [score(data, gold + RNG.normal(size=gold.shape))], score(data, gold, "j"))
    (peak,) = (row for row in rows if row["metric"] == "best-n")
    assert peak["sentence"] == (
        "Choosing by proxy, the gold score does not fall significantly up to N = 8 (60 choices)."
    )


def test_prompts_with_few_responses_or_a_missing_score_are_left_out_and_named():
    data = choices(5, 4, label=[1, 0, 0, 0] * 5).take(np.arange(18))
    values = RNG.normal(size=18)
    values[5] = np.nan
    with collect_notices() as notices:
        rows = measured(data, [score(data, values)], baselines=())
    assert {row["n"] for row in rows} == {3}
    said = {notice.what: notice.ids for notice in notices.values()}
    assert said["choices with a response that has no score, left out"] == ["q1/0"]
    assert said["choices with fewer than 4 responses, left out"] == ["q4/0"]


def test_sizes_are_those_asked_for_and_one():
    data = choices(6, 5, label=[1, 0, 0, 0, 1] * 6)
    rows = measured(data, [score(data, RNG.normal(size=30))], sizes=(5, 3))
    assert list(curve(rows, "best-of-n-accuracy")) == [1.0, 3.0, 5.0]


def test_subsets_have_their_own_curves():
    right = [1, 0, 0, 1, 1, 0, 0, 1]
    data = choices(4, 2, label=right, subset=["s"] * 4 + ["t"] * 4)
    rows = measured(data, [score(data, [1, 0] * 4)])
    assert curve(rows, "best-of-n-accuracy", subset="s")[2.0] == 0.5
    assert curve(rows, "best-of-n-accuracy", subset="all")[1.0] == 0.5


def test_ratings_leave_out_unrated_responses_and_prompts_rated_alike():
    ratings = [3, 1, 2, 4, 4, 4, None, 2, 5]
    data = choices(3, 3, **{"ratings.help": np.array(ratings, dtype=float)})
    rows = measured(data, [score(data, [3, 1, 2, 0, 1, 2, 9, 2, 1])], baselines=())
    found = {row["metric"]: row for row in rows}
    assert found["kendall-help"]["value"] == pytest.approx((1 - 1) / 2)
    assert found["top-1-help"]["value"] == 0.5
    assert found["kendall-help"]["n"] == 2
    discount = 1 / np.log2(3)
    assert found["ndcg-help"]["value"] == pytest.approx(
        (1 + (2 + 5 * discount) / (5 + 2 * discount)) / 2
    )


def test_responses_that_nothing_judges_are_refused():
    data = choices(2, 2)
    with pytest.raises(DataError, match="needs something to judge it by: a column 'label', colum"):
        measured(data, [score(data, [1, 2, 3, 4])])


def test_the_evaluator_passes_the_checks_of_every_step():
    data = small_responses()
    one = Features(small_features(data, "one").select("margin").table, "one")
    check_step(BestOfN, {"resamples": 200}, {"data": data, "rewards": [one]})
    gold = Features(small_features(data, "two").select("margin").table, "two")
    check_step(BestOfN, {"resamples": 200}, {"data": data, "rewards": [one], "gold": gold})


def topics(subset=("s", "t", "u")):
    """150 prompts of ten topics with four responses each: the right one is best within its prompt,
    and prompts have scores of their own."""
    prompts = 150
    numbers = np.repeat(np.arange(prompts), 4)
    right = np.tile([1, 0, 0, 0], prompts)
    columns = {
        "group": [f"topic {i % 10}" for i in numbers],
        "subset": [subset[i % len(subset)] for i in numbers],
    }
    data = choices(prompts, 4, label=right, **columns)
    own = np.repeat(np.random.default_rng(1).normal(0, 3, prompts), 4)
    return data, score(data, 2 * right + own + np.tile([0, 0.3, 0.2, 0.1], prompts))


def test_the_best_is_chosen_within_a_prompt_where_the_group_is_a_topic():
    data, reward = topics()
    rows = measured(data, [reward])
    assert curve(rows, "best-of-n-accuracy")[4.0] == pytest.approx(1.0)
    assert curve(rows, "best-of-n-accuracy", key="n")[4.0] == 150
    (sentence,) = {row["sentence"] for row in rows if row["sentence"]}
    assert sentence == (
        "Choosing by proxy, the accuracy of the choice does not fall significantly up to N = 4 "
        "(150 choices)."
    )


def test_ratings_are_compared_within_a_prompt_where_the_group_is_a_topic():
    data, reward = topics()
    rated = Responses(data.table.append_column("ratings.help", reward["reward"]))
    (row,) = (
        r for r in measured(rated, [reward])
        if (r["metric"], r["model"], r["subset"]) == ("kendall-help", "proxy", "all")
    )  # fmt: skip
    assert (row["value"], row["n"]) == (1.0, 150)


def test_responses_to_one_prompt_in_several_subsets_are_named():
    data = choices(2, 2, label=[1, 0, 1, 0], subset=["s", "t", "s", "s"])
    with collect_notices() as notices:
        rows = measured(data, [score(data, [1.0, 0, 1, 0])])
    said = {notice.what: notice.ids for notice in notices.values()}
    assert said == {"responses to one prompt in several subsets: counted in the first": ["q0/0"]}
    assert curve(rows, "best-of-n-accuracy", key="n", subset="s")[2.0] == 2
