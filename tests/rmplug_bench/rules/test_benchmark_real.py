"""Benchmarks on recorded scores of real reward models, against figures computed elsewhere."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from rmplug import Features, Pairs, Responses, text_of
from rmplug_bench import BestOfN, Compare
from rmplug_bench.layouts.published import RMB, JudgeBench, LLMBar, RewardBench, RMBench
from rmplug_bench.rules.benchmarks import Benchmark

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))


def shared(name):
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"{file} is not here")
    return file


def rows(name):
    with gzip.open(shared(name), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def margins(pairs, scores, name):
    """A reward on those pairs of which both responses have a score."""
    known = [id for id in pairs["id"].to_pylist() if id in scores]
    chosen, rejected = np.asarray([scores[id] for id in known], dtype=float).T
    columns = {"id": known, "chosen": chosen, "rejected": rejected, "margin": chosen - rejected}
    return Features(columns, name)


def recorded(name, right=1):
    """Scores of chosen and rejected by model and pair."""
    found = {}
    for row in rows(name):
        pair = found.setdefault(row["model"], {}).setdefault(row["meta"]["pair_id"], [None, None])
        pair[int(row["label"] != right)] = row["score"]
    return found


def part(pairs, reward):
    """The pairs that the reward knows."""
    mask = pc.is_in(pairs["id"], value_set=reward["id"])
    return pairs.take(np.flatnonzero(mask.to_numpy()))


def measured(data, rewards, resamples=100, **params):
    step = Benchmark(resamples=resamples, **{"baselines": (), **params})
    return step.evaluate(data, rewards, seed=1).table.to_pylist()


def value(rows, metric, subset="all", model=None, row=None, level=None):
    found = [
        r["value"]
        for r in rows
        if (r["metric"], r["subset"], r["row"]) == (metric, subset, row)
        and model in (None, r["model"])
        and level in (None, r["level"])
    ]
    assert len(found) == 1, (metric, subset, model, len(found))
    return found[0]


JUDGEBENCH = {
    "Ray2333/GRM-Gemma-2B-rewardmodel-ft": (0.5787, 0.5667, 0.6316, 0.5862, 0.5000),
    "Skywork/Skywork-Reward-Gemma-2-27B": (0.6389, 0.6333, 0.5789, 0.8621, 0.6290),
    "Skywork/Skywork-Reward-Llama-3.1-8B": (0.6343, 0.6667, 0.6000, 0.7586, 0.6129),
    "internlm/internlm2-20b-reward": (0.6389, 0.6667, 0.6211, 0.6552, 0.6452),
    "internlm/internlm2-7b-reward": (0.6065, 0.5000, 0.5895, 0.7586, 0.6129),
}


def test_five_recorded_models_have_their_published_accuracy_on_judgebench():
    pairs = JudgeBench(path=shared("judgebench/pairs.jsonl.gz")).load()
    scores = recorded("judgebench/scored.jsonl.gz")
    rewards = [margins(pairs, scores[name], name) for name in JUDGEBENCH]
    table = measured(part(pairs, rewards[0]), rewards, benchmark="judgebench")
    for name, figures in JUDGEBENCH.items():
        found = [
            value(table, "score-published", model=name),
            *(
                value(table, "accuracy-published", domain, name)
                for domain in ("coding", "knowledge", "math", "reasoning")
            ),
        ]
        assert [round(one, 4) for one in found] == list(figures)
    tied = "Skywork/Skywork-Reward-Gemma-2-27B"
    gained = value(table, "score", model=tied) - value(table, "score-published", model=tied)
    assert gained * 216 == pytest.approx(0.5), "its one tie counts one half by default"


MATH_PRM = {
    "GAIR/ReasonEval-34B": 0.4194,
    "RLHFlow/ArmoRM-Llama3-8B-v0.1": 0.9283,
    "Skywork/Skywork-Reward-Llama-3.1-8B": 0.9642,
    "easy-to-hard-prm": 0.5269,
    "internlm/internlm2-20b-reward": 0.9606,
    "openbmb/Eurus-RM-7b": 0.6093,
}


def test_recorded_models_have_their_accuracy_on_the_math_of_rewardbench():
    pairs = RewardBench(path=shared("rewardmath/pairs.jsonl.gz")).load()
    scores = recorded("rewardmath/scored.jsonl.gz")
    rewards = [margins(pairs, scores[name], name) for name in MATH_PRM]
    table = measured(pairs, rewards, benchmark="rewardbench")
    found = {name: round(value(table, "score-published", "all", name), 4) for name in MATH_PRM}
    assert found == MATH_PRM
    assert value(table, "score-published", "Reasoning", "easy-to-hard-prm") == pytest.approx(
        value(table, "accuracy", "math-prm", "easy-to-hard-prm") - 1.5 / 279
    )


ONE_OF_TEN = {
    "classifier:RLHFlow/ArmoRM-Llama3-8B-v0.1": (0.2054, 0.4195),
    "classifier:internlm/internlm2-7b-reward": (0.367, 0.5454),
    "classifier:Ray2333/GRM-llama3-8B": (0.2391, 0.4517),
    "judge:gpt4": (0.2222, 0.4939),
    "judge:sonnet-3-5": (0.0168, 0.2605),
}


@pytest.mark.parametrize("name", ONE_OF_TEN)
def test_recorded_models_have_their_accuracy_and_rank_on_one_of_ten(name):
    kind, _, model = name.partition(":")
    cases = [
        r
        for r in rows("rewardmath/bon_scores.jsonl.gz")
        if (r["kind"], r["model"]) == (kind, model)
    ]
    columns = {"id": [], "case": [], "prompt": [], "response": [], "label": [], "score": []}
    for case in cases:
        listed = zip(case["solution_reference"], case["label"], case["scores"], strict=True)
        for place, (writer, label, score) in enumerate(listed):
            for key, one in zip(
                columns,
                (f"{case['id']}/{place}", case["id"], case["prompt"], writer, label, score),
                strict=True,
            ):
                columns[key].append(one)
    score = columns.pop("score")
    reward = Features({"id": columns["id"], "reward": np.asarray(score, dtype=float)}, "model")
    table = measured(Responses(columns, "math"), [reward], benchmark="rewardmath")
    accuracy, rank = ONE_OF_TEN[name]
    assert round(value(table, "score-published"), 4) == accuracy
    assert round(value(table, "mrr"), 4) == rank
    assert value(table, "mrr-published") <= value(table, "mrr")
    assert value(table, "score") >= value(table, "score-published")


LLMBAR = {"ChatGPT/Rating": (0.7167, 0.2389, 130), "GPT-4/Rating": (0.9, 0.752, 42)}


@pytest.mark.parametrize("judge", LLMBAR)
def test_judges_ratings_have_their_accuracy_on_llmbar(judge):
    pairs = LLMBar(path=shared("llmbar/pairs.jsonl.gz")).load()
    found = {}
    for row in rows("llmbar/scored.jsonl.gz"):
        if row["model"] == judge and row["score"] is not None:
            found.setdefault(row["meta"]["pair_id"], {})[row["label"]] = row["score"]
    scores = {id: (both[1], both[0]) for id, both in found.items() if len(both) == 2}
    reward = margins(pairs, scores, "judge")
    table = measured(part(pairs, reward), [reward], benchmark="llmbar")
    natural, strict, ties = LLMBAR[judge]
    assert round(value(table, "score-published", "Natural"), 4) == natural
    five = [r for r in table if r["metric"] == "accuracy" and r["level"] == "subset"]
    halves = sum(r["value"] * r["n"] for r in five)
    assert sum(r["n"] for r in five) == len(reward)
    assert round((halves - ties / 2) / len(reward), 4) == strict


STYLES = {
    "chat": (0.8143, 0.2743, 0.0338),
    "code": (0.7812, 0.4974, 0.2266),
    "safety-refuse": (0.8855, 0.1513, 0.0184),
    "safety-response": (0.9823, 0.766, 0.2376),
}


def test_length_as_a_reward_gives_the_known_style_matrix_of_rm_bench():
    responses = RMBench(path=shared("rm_bench/bench.jsonl.gz")).load()
    length = pc.utf8_length(text_of(responses["response"]))
    reward = Features({"id": responses["id"], "reward": length}, "length")
    table = measured(responses, [reward], benchmark="rm-bench")
    for domain, figures in STYLES.items():
        levels = {r["level"] for r in table if r["subset"] == domain}
        level = "section" if "section" in levels else None
        found = [
            value(table, f"{kind}-published", domain, level=level)
            for kind in ("easy", "normal", "hard")
        ]
        assert [round(one, 4) for one in found] == list(figures)
    safety = value(table, "easy-published", "safety")
    assert safety == pytest.approx((0.8855 * 163 + 0.9823 * 94) / 257, abs=1e-4), "pooled"
    whole = [value(table, "easy-published", d) for d in ("chat", "code", "safety")]
    assert value(table, "easy-published") == pytest.approx(np.mean(whole))
    above = [("concise", "plain"), ("concise", "markdown"), ("plain", "markdown")]
    cells = {(r["row"], r["column"]): r["value"] for r in table if r["level"] == "cell"
             and r["subset"] == "all"}  # fmt: skip
    hard = [cells[f"{right} right", f"{wrong} wrong"] for right, wrong in above]
    assert len(cells) == 9
    assert value(table, "hard") == pytest.approx(np.mean(hard))


def test_the_longest_response_is_as_often_the_best_of_rmb_as_known():
    responses = RMB(path=shared("rmb/bon.jsonl.gz"), rows="best-of-n").load()
    length = pc.utf8_length(text_of(responses["response"]))
    reward = Features({"id": responses["id"], "reward": length}, "length")
    table = measured(responses, [reward], benchmark="rmb-best-of-n")
    subsets = [r for r in table if r["level"] == "subset"]
    strict = [r for r in subsets if r["metric"] == "accuracy-published"]
    shared_ties = [r for r in subsets if r["metric"] == "accuracy"]
    assert sum(r["n"] for r in strict) == 2266
    assert round(sum(r["value"] * r["n"] for r in strict) / 2266, 4) == 0.4422
    assert round(sum(r["value"] * r["n"] for r in shared_ties) / 2266, 4) == 0.4427
    assert round(sum(r["chance"] * r["n"] for r in shared_ties) / 2266, 4) == 0.3102


def test_every_list_of_rmb_is_a_choice_though_lists_share_prompts():
    responses = RMB(path=shared("rmb/bon.jsonl.gz"), rows="best-of-n").load()
    length = pc.utf8_length(text_of(responses["response"]))
    reward = Features({"id": responses["id"], "reward": length}, "length")
    step = BestOfN(sizes=(1, 2, 3), resamples=100, baselines=())
    table = step.evaluate(responses, [reward], None, seed=1).table.to_pylist()
    points = [
        r for r in table
        if (r["metric"], r["model"], r["subset"]) == ("best-of-n-accuracy", "length", "all")
    ]  # fmt: skip
    assert {r["n"] for r in points} == {2266}
    assert [round(r["value"], 4) for r in points] == [0.3102, 0.3799, 0.4295]
    step = Compare(resamples=100, baselines=("longer",))
    table = step.evaluate(responses, [reward], seed=1).table.to_pylist()
    (row,) = (
        r for r in table
        if (r["metric"], r["model"], r["subset"]) == ("accuracy", "length", "all")
    )  # fmt: skip
    assert (round(row["value"], 4), row["n"]) == (0.4427, 2266)


def test_recorded_scores_of_rmb_pairs_have_their_accuracy():
    scores = rows("rmb/armorm_scores.jsonl.gz")
    margin = np.asarray([row["score_chosen"] - row["score_rejected"] for row in scores])
    ids = [row["id"] for row in scores]
    columns = {"id": ids, "prompt": ids, "chosen": ids, "rejected": ids}
    groups = {"group": [row["meta"]["group"] for row in scores]}
    pairs = Pairs({**columns, **groups, "subset": [row["subset"] for row in scores]}, "rmb")
    table = measured(pairs, [Features({"id": ids, "margin": margin}, "armorm")], benchmark="rmb")
    assert round(value(table, "score-published", "Helpfulness"), 4) == 0.7926
    assert value(table, "score") - value(table, "score-published") == pytest.approx(3 / 516)
