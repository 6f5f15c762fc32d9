"""Agreement of orders with heavy ties: within prompts, over prompts, and with ratings of people."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Features, Known, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug_bench import Agreement
from rmplug_bench.comparison._concordance import concordance

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)


def reward(data, name, **columns):
    return Features({"id": data["id"], **columns}, name)


def measured(data, rewards, **params):
    params = {"resamples": 200, "baselines": (), **params}
    rows = Agreement(**params).evaluate(data, rewards, seed=1).table.to_pylist()
    return {(r["metric"], r["row"], r["column"]): r for r in rows if r["subset"] == "all"}


@pytest.mark.parametrize("values", [2, 5, 400])
def test_concordance_with_ties_and_blocks_is_that_of_comparing_all_rows(values):
    rng = np.random.default_rng(values)
    one = rng.integers(0, values, 150).astype(float)
    two = one + rng.integers(0, values, 150)
    block = rng.integers(0, 9, 150)
    same = block[:, None] == block
    signs = [np.sign(own[:, None] - own) * same for own in (one, two)]
    found = concordance(one, two, block).counts
    assert found.agreeing.tolist() == (signs[0] * signs[1]).sum(axis=1).tolist()
    assert found.left.tolist() == np.abs(signs[0]).sum(axis=1).tolist()
    assert found.both.tolist() == np.abs(signs[0] * signs[1]).sum(axis=1).tolist()
    whole = concordance(one, two)
    assert whole.tau_b().value == pytest.approx(stats.kendalltau(one, two).statistic)
    assert whole.somers_d().value == pytest.approx(stats.somersd(two, one).statistic)
    assert whole.gamma().value >= whole.somers_d().value


def drawn(rng, groups, each):
    """Two orders with ties of rows that share much inside a group."""
    shared = np.repeat(rng.normal(size=groups), each) + rng.normal(0, 0.5, groups * each)
    left, right = (np.round(shared + rng.normal(size=groups * each)) for _ in range(2))
    return left, right, np.repeat(np.arange(groups), each)


@pytest.mark.parametrize("blocks", ["one block", "a block per group"])
def test_intervals_of_rank_agreement_hold_the_truth_19_times_in_20_with_ties_and_groups(blocks):
    rng = np.random.default_rng(0)

    def estimates(groups):
        left, right, group = drawn(rng, groups, 4)
        block = None if blocks == "one block" else group
        found = concordance(left, right, block, group)
        return [found.tau_b(), found.gamma(), found.somers_d()], group

    truths = [one.value for one in estimates(10_000)[0]]
    held = np.zeros(3)
    for _ in range(200):
        found, group = estimates(40)
        bounds = [one.interval(group) for one in found]
        held += [low <= truth <= high for (low, high), truth in zip(bounds, truths, strict=True)]
    assert (held / 200 > 0.90).all() and (held / 200 < 0.99).all()


def test_pairs_decided_the_other_way_are_counted_and_ties_are_not():
    data = Pairs({"id": list("abcde"), "prompt": list("abcde"), "chosen": ["x"] * 5,
                  "rejected": ["y"] * 5})  # fmt: skip
    one = reward(data, "one", margin=[1.0, 2, -1, 0, -3])
    two = reward(data, "two", margin=[2.0, -1, 1, 4, -1])
    row = measured(data, [one, two])["opposite-decision", "one", "two"]
    assert (row["value"], row["n"]) == (0.4, 5) and row["low"] < 0.4 < row["high"]
    assert ("kendall-over-prompts", "one", "two") not in measured(data, [one, two])


def test_scores_of_pairs_are_ordered_over_prompts_by_both_responses():
    data = Pairs({"id": list("abc"), "prompt": list("abc"), "chosen": ["x"] * 3,
                  "rejected": ["y"] * 3})  # fmt: skip
    scores = {"one": ([5.0, 3, 3], [1.0, 2, 4]), "two": ([9.0, 9, 1], [0.0, 3, 2])}
    rewards = [
        reward(data, name, chosen=c, rejected=r, margin=np.subtract(c, r))
        for name, (c, r) in scores.items()
    ]
    row = measured(data, rewards)["kendall-over-prompts", "one", "two"]
    expected = stats.kendalltau(*(np.concatenate(sides) for sides in scores.values())).statistic
    assert row["value"] == pytest.approx(expected) and row["n"] == 6


def rated(elo, **columns):
    ids = [f"r{i}" for i in range(len(elo))]
    return Responses({"id": ids, "prompt": ["p", "q"] * (len(elo) // 2), "response": ids,
                      "ratings.elo": elo, **columns})  # fmt: skip


def test_a_rating_is_compared_within_prompts_where_it_is_known():
    data = rated([3.0, 1, 2, 1, 1, 7, 2, None])
    scores = [5.0, 1, 4, 2, 4, 3, 0, 9]
    with collect_notices() as notices:
        found = measured(data, [reward(data, "m", reward=scores)], ratings=("elo",))
    first, second = [5.0, 4, 4, 0], [1.0, 2, 3]
    taus = [stats.kendalltau(first, [3, 2, 1, 2]), stats.kendalltau(second, [1, 1, 7])]
    mean = np.mean([one.statistic for one in taus])
    assert found["kendall", "m", "elo"]["value"] == pytest.approx(mean)
    # of 5 + 2 comparisons that the rating does not tie: agreeing 3 + 2, opposite 1, one tied
    assert found["somers-d", "m", "elo"]["value"] == pytest.approx((5 - 1) / 7)
    assert found["gamma", "m", "elo"]["value"] == pytest.approx((5 - 1) / 6)
    assert found["gamma", "m", "elo"]["n"] == 7 and ("gamma", "elo", "m") not in found
    lacking = [one.ids for one in notices.values() if one.what.startswith("no ratings.elo")]
    assert lacking == [["r7"]]


def test_of_a_list_rated_for_several_prompts_the_interval_is_over_what_is_rated():
    rng = np.random.default_rng(1)
    worth = np.tile(rng.normal(size=80), 2)
    things = [f"thing-{i}" for i in range(80)] * 2
    ids = [f"{i}" for i in range(160)]
    prompts, cases = ["p"] * 80 + ["q"] * 80, [0] * 80 + [1] * 80
    data = Responses({"id": ids, "prompt": prompts, "response": ids, "case": cases,
                      "group": things, "ratings.elo": worth})  # fmt: skip
    scores = worth + rng.normal(size=160)
    row = measured(data, [reward(data, "m", reward=scores)], ratings=("elo",))[
        "kendall", "m", "elo"
    ]
    taus = [stats.kendalltau(scores[k : k + 80], worth[k : k + 80]).statistic for k in (0, 80)]
    assert row["value"] == pytest.approx(np.mean(taus)) and row["n"] == 160
    drawn = []
    for _ in range(200):
        rows = rng.integers(0, 80, 80)
        drawn.append(np.mean([stats.kendalltau(scores[rows + k], worth[rows + k]).statistic
                              for k in (0, 80)]))  # fmt: skip
    assert row["high"] - row["low"] == pytest.approx(4 * np.std(drawn), rel=0.25)


def test_a_rating_that_does_not_exist_or_is_called_like_a_reward_is_refused():
    data = rated([1.0, 2, 3, 4])
    one = reward(data, "elo", reward=[1.0, 2, 3, 4])
    with pytest.raises(DataError, match="there is no rating 'elo2' of the responses; there are el"):
        measured(data, [one], ratings=("elo2",))
    with pytest.raises(DataError, match="a reward is called 'elo', as a rating is; rename its ste"):
        measured(data, [one], ratings=("elo",))


def test_mistakes_in_ratings_are_told_before_the_run():
    def mistakes(data, name):
        rewards = [Known((Features,), columns={"reward": "number"}, step="m")]
        return [said for where, said in
                Agreement(ratings=(name,)).mistakes({"data": [data], "rewards": rewards})
                if where == "ratings"]  # fmt: skip

    columns = {"prompt": "text", "response": "text", "ratings.elo": "number"}
    responses = Known((Responses,), columns=columns, step="entities")
    assert mistakes(responses, "elo") == []
    assert mistakes(responses, "ratings.elo") == ["write 'elo' for the column 'ratings.elo'"]
    [said] = mistakes(responses, "eol")
    assert said.startswith("'eol' is no rating: entities gives no column 'ratings.eol'")
    pairs = Known((Pairs,), columns={}, step="pairs")
    assert mistakes(pairs, "elo") == ["pairs gives pairs, and only responses have ratings"]


def entities(*models):
    path = SHARED / "entity_scores/what-in-one-word-is-the-greatest-thing-e.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(io.StringIO(lines.read())))
    names = [row["name"] for row in rows]
    data = Responses({"id": names, "group": names, "response": names, "case": [1] * len(rows),
                      "prompt": ["the greatest thing ever?"] * len(rows),
                      "ratings.elo": [float(row["elo_score"]) for row in rows]})  # fmt: skip
    columns = {name: [float(row[name]) for row in rows] for name in models}
    return data, [reward(data, name, reward=own) for name, own in columns.items()]


def test_reward_models_agree_with_the_elo_ratings_of_people_as_is_known():
    lowest, highest = (
        "Skywork/Skywork-Reward-Gemma-2-27B-v0.2",
        "Ray2333/GRM-Llama3.2-3B-rewardmodel-ft",
    )
    data, rewards = entities(lowest, highest)
    found = measured(data, rewards, ratings=("elo",))
    for name, known in ((lowest, 0.31), (highest, 0.55)):
        row = found["spearman-over-prompts", name, "elo"]
        assert row["low"] < known < row["high"] < row["low"] + 0.07
        scores = rewards[name == highest].table["reward"].to_numpy()
        tau = stats.kendalltau(scores, data["ratings.elo"].to_numpy()).statistic
        kendall = found["kendall", name, "elo"]
        assert kendall["value"] == pytest.approx(tau)
        assert kendall["low"] < tau < kendall["high"] < kendall["low"] + 0.07
        over = found["kendall-over-prompts", name, "elo"]
        assert over["low"] == pytest.approx(kendall["low"])
        # 224 and 4,462 distinct scores, 654 distinct ratings: ties take from tau-b, not from gamma
        assert found["gamma", name, "elo"]["value"] > kendall["value"]
