"""The table of the ``pairwise`` evaluator against values worked out by hand and known figures."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import DataError, Features, Pairs
from rmplug.data.rows import ParquetParts
from rmplug.notices import collect_notices
from rmplug.stats.calibration import calibration_error, confidence_bins
from rmplug_bench import Pairwise
from rmplug_bench.baselines import _learnt, _text_measures
from rmplug_bench.statistics import _columns

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)


def pairs_of(rows, subsets=None, groups=None):
    columns = {
        "id": [f"p{i}" for i in range(len(rows))],
        "prompt": [f"question {i}" for i in range(len(rows))],
        "chosen": [chosen for chosen, _ in rows],
        "rejected": [rejected for _, rejected in rows],
    }
    if subsets:
        columns["subset"] = subsets
    if groups:
        columns["group"] = groups
    return Pairs(columns, name="pairs")


def reward_of(pairs, margins, name="reward", **columns):
    return Features({"id": pairs["id"], **columns, "margin": np.array(margins, float)}, name)


def measured(pairs, *rewards, seed=1, **params):
    params = {"resamples": 400, **params}
    table = Pairwise(**params).evaluate(pairs, rewards, seed=seed).table
    return {(row["model"], row["metric"], row["subset"]): row for row in table.to_pylist()}


FOUR = [("aaaa", "b"), ("a", "bbb"), ("- x\n- y", "bb"), ("cc", "dd")]


def test_every_number_of_four_pairs_is_the_one_worked_out_by_hand():
    pairs = pairs_of(FOUR, subsets=["s", "s", "t", "t"])
    reward = reward_of(
        pairs,
        [2.0, -1.0, 0.0, 3.0],
        chosen=np.array([2.0, 0.0, 1.0, 4.0]),
        rejected=np.array([0.0, 1.0, 1.0, 1.0]),
    )
    found = measured(pairs, reward)

    def value(metric, subset="all", model="reward"):
        return found[model, metric, subset]["value"]

    assert value("accuracy") == (1 + 0 + 0.5 + 1) / 4
    assert value("accuracy", "s") == 0.5
    assert value("accuracy", "t") == 0.75
    assert value("ties") == 0.25
    losses = [np.log1p(np.exp(-m)) for m in (2, -1, 0, 3)]
    assert value("log-loss") == pytest.approx(np.mean(losses))
    assert value("margin-mean") == 1.0
    assert value("margin-median") == 1.0
    assert value("margin-sd") == pytest.approx(np.std([2, -1, 0, 3]))
    assert value("prefers-longer") == 1.0
    assert found["reward", "prefers-longer", "all"]["n"] == 2
    assert value("accuracy-longer-chosen") == 0.75
    assert value("accuracy-shorter-chosen") == 0.0
    gaps = [3, -2, 5, 0]
    pearson = np.corrcoef(gaps, [2, -1, 0, 3])[0, 1]
    assert value("margin-length-pearson") == pytest.approx(pearson)
    confidences = [1 / (1 + np.exp(-m)) for m in (2, 1, 0, 3)]
    bins = {8: [(1, confidences[0])], 5: [(0, confidences[1])], 1: [(0.5, 0.5)]}
    bins[10] = [(1, confidences[3])]
    error = sum(abs(right - sure) for ((right, sure),) in bins.values()) / 4
    assert value("ece-plug-in") == pytest.approx(error)
    assert value("confidence", "bin-08") == pytest.approx(confidences[0])
    assert value("reliability", "bin-01") == 0.5
    assert value("accuracy", model="longer") == (1 + 0 + 1 + 0.5) / 4
    assert value("accuracy", model="shorter") == (0 + 1 + 0 + 0.5) / 4
    assert value("ties", model="longer") == 0.25
    assert value("accuracy", model="most-markdown") == (0.5 + 0.5 + 1 + 0.5) / 4
    assert value("accuracy", model="random") == 0.5
    assert value("accuracy-over-longer") == 0.0
    assert found["random", "accuracy", "all"]["low"] is None
    assert found["longer", "accuracy", "all"]["kind"] == "baseline"


def test_a_missing_margin_is_counted_and_never_taken_for_a_mistake():
    pairs = pairs_of(FOUR)
    with collect_notices() as notices:
        found = measured(pairs, reward_of(pairs, [2.0, np.nan, 1.0, 3.0]))
    assert found["reward", "accuracy", "all"]["value"] == 1.0
    assert found["reward", "accuracy", "all"]["n"] == 3
    assert found["reward", "missing", "all"]["value"] == 1
    (noticed,) = notices.values()
    assert noticed.what == "reward: no finite margin, left out of the metrics"
    assert (noticed.count, noticed.ids, noticed.action) == (1, ["p1"], "dropped")


def test_a_subset_with_one_prompt_has_no_interval_and_says_so():
    pairs = pairs_of(FOUR, subsets=["s", "s", "t", "t"], groups=["g", "h", "k", "k"])
    with collect_notices() as notices:
        found = measured(pairs, reward_of(pairs, [2.0, -1.0, 1.0, 3.0]))
    assert found["reward", "accuracy", "t"]["low"] is None
    assert 0 < found["reward", "accuracy", "s"]["low"] < 0.01
    said = {n.what: n.ids for n in notices.values()}
    assert said["subset 't' has one prompt group: no interval"] == ["p2", "p3"]


def test_pairs_of_one_prompt_are_resampled_together():
    rng = np.random.default_rng(5)
    right = np.repeat(rng.random(40) < 0.6, 10)
    pairs = pairs_of([("aa", "b")] * 400, groups=[f"g{i // 10}" for i in range(400)])
    row = measured(pairs, reward_of(pairs, np.where(right, 1.0, -1.0)), resamples=4000)[
        "reward", "accuracy", "all"
    ]
    p = right.mean()
    grouped = 2 * 1.96 * np.sqrt(p * (1 - p) / 40)
    assert row["high"] - row["low"] == pytest.approx(grouped, rel=0.12)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    pairs = pairs_of([("aa", "b")] * 120)
    covered = 0
    for trial in range(100):
        margins = np.where(rng.random(120) < 0.7, 1.0, -1.0)
        found = measured(pairs, reward_of(pairs, margins), seed=trial, baselines=())
        row = found["reward", "accuracy", "all"]
        covered += row["low"] <= 0.7 <= row["high"]
    assert 88 <= covered <= 100


def test_the_calibration_error_is_the_planted_one_and_its_interval_holds_it():
    """A model whose confidence is sigmoid(|margin|) and which is right as sigmoid(scale |margin|):
    the mean of the estimates and the share of the intervals that hold the truth, of 150 worlds."""
    for scale, prompts, worst in ((1.0, 100, 0.06), (0.4, 100, 0.03)):
        truth = planted_error(planted_margins(scale, 200_000, 0))
        found = [
            calibration_error(planted_margins(scale, prompts, seed), np.arange(prompts), seed)
            for seed in range(1, 151)
        ]
        held = [one.bounds[0] <= truth <= one.bounds[1] for one in found]
        error, plug_in = (
            np.mean([getattr(one, name) for one in found]) - truth
            for name in ("debiased", "plug_in")
        )
        assert np.mean(held) >= 0.92
        assert abs(error) < worst
        assert abs(error) < abs(plug_in)


@pytest.mark.parametrize("pairs", [20, 100, 400])
def test_an_exactly_calibrated_model_reads_what_it_is_said_to_read_by_chance(pairs):
    groups = np.arange(pairs)
    found = [calibration_error(planted_margins(1.0, pairs, s), groups, s) for s in range(1, 151)]
    debiased, by_chance = (
        np.mean([getattr(one, name) for one in found]) for name in ("debiased", "by_chance")
    )
    assert by_chance == pytest.approx(debiased, rel=0.2)


def planted_margins(scale, pairs, seed):
    rng = np.random.default_rng([seed, pairs])
    sure = np.abs(rng.normal(0.4, 1.3, pairs))
    return np.where(rng.random(pairs) < 1 / (1 + np.exp(-scale * sure)), sure, -sure)


def planted_error(margins):
    confidence, bins = confidence_bins(margins)
    return np.abs(np.bincount(bins, (margins > 0) - confidence)).sum() / len(margins)


def test_every_subset_has_a_calibration_error_with_an_interval_and_one_prompt_has_none():
    margins = np.random.default_rng(3).normal(0.5, 2.0, 60)
    pairs = pairs_of([("a", "b")] * 60, subsets=["s", "t", "t"] * 20)
    found = measured(pairs, reward_of(pairs, margins))
    for subset in ("all", "s", "t"):
        row = found["reward", "ece", subset]
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    alone = pairs_of([("a", "b")] * 4, groups=["g"] * 4)
    row = measured(alone, reward_of(alone, [1.0, -1.0, 2.0, 3.0]))["reward", "ece", "all"]
    assert (row["low"], row["high"]) == (None, None)


def test_the_same_seed_gives_the_same_table_and_another_seed_only_other_bounds():
    pairs = pairs_of(FOUR * 5)
    reward = reward_of(pairs, [2.0, -1.0, 0.5, 3.0] * 5)
    one, same = (Pairwise().evaluate(pairs, [reward], seed=3).table for _ in range(2))
    other = Pairwise().evaluate(pairs, [reward], seed=4).table
    assert one.equals(same)
    assert one["value"].equals(other["value"])
    assert not one["low"].equals(other["low"])


def test_pairs_in_blocks_give_the_table_of_all_at_once(monkeypatch):
    """Sums, texts and n-grams, some at a time: what keeps memory small whatever the pairs."""
    rng = np.random.default_rng(0)
    words = np.array(["good", "- bad", "`so`", "fine", "No"])
    texts = [(" ".join(rng.choice(words, 5)), "\n".join(rng.choice(words, 4))) for _ in range(90)]
    pairs = pairs_of(texts, subsets=["s", "t", "t"] * 30, groups=[f"g{i % 40}" for i in range(90)])
    margins = np.where(rng.random(90) < 0.1, np.nan, rng.normal(size=90))
    whole = measured(pairs, reward_of(pairs, margins))
    monkeypatch.setattr(_columns, "BLOCK_PAIRS", 7)
    monkeypatch.setattr(_text_measures, "BLOCK_ROWS", 11)
    monkeypatch.setattr(_learnt, "BLOCK_FEATURES", 40)
    for key, row in measured(pairs, reward_of(pairs, margins)).items():
        for name in ("value", "low", "high", "n"):
            assert row[name] == pytest.approx(whole[key][name], abs=1e-9), (key, name)


def test_more_prompts_than_blocks_have_the_intervals_of_a_bootstrap_over_prompts():
    rng = np.random.default_rng(1)
    groups = np.arange(6000) // 2
    hard = rng.normal(size=3000)[groups]
    margins = 0.5 + hard + rng.normal(size=6000)
    pairs = pairs_of([("a", "b")] * 6000, groups=[f"g{g}" for g in groups])
    row = measured(pairs, reward_of(pairs, margins), baselines=())["reward", "margin-mean", "all"]
    sums = np.bincount(groups, margins - margins.mean())
    half = 1.96 * np.sqrt((sums**2).sum()) / 6000
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.12)
    row = measured(pairs, reward_of(pairs, margins))["reward", "margin-median", "all"]
    assert row["low"] < 0.5 < row["high"] and row["high"] - row["low"] < 0.2


def test_each_output_of_a_model_with_several_is_a_model():
    pairs = pairs_of(FOUR)
    ids = {"id": pairs["id"]}
    many = Features({**ids, "margin.help": [1.0] * 4, "margin.harm": [-1.0] * 4}, "reward")
    found = measured(pairs, many)
    assert found["reward.help", "accuracy", "all"]["value"] == 1.0
    assert found["reward.harm", "accuracy", "all"]["value"] == 0.0


def test_rewards_are_aligned_by_id_and_a_missing_row_is_named():
    pairs = pairs_of(FOUR)
    reward = reward_of(pairs, [2.0, -1.0, 0.5, 3.0])
    shuffled = reward.take([3, 1, 0, 2])
    assert measured(pairs, shuffled)["reward", "margin-median", "all"]["value"] == 1.25
    assert measured(pairs.take([0, 1]), shuffled)["reward", "accuracy", "all"]["value"] == 0.5
    with pytest.raises(DataError, match=r"reward has no row for 2 of 4 pairs \(first: p2\)"):
        measured(pairs, reward.take([0, 1]))


def test_features_without_a_margin_are_refused_by_name():
    pairs = pairs_of(FOUR)
    words = Features({"id": pairs["id"], "a": [1.0] * 4, "b": [1.0] * 4}, "words")
    with pytest.raises(DataError, match=r"words has no column 'margin' \(it has a, b\)"):
        measured(pairs, words)
    reward = reward_of(pairs, [1.0] * 4)
    with pytest.raises(DataError, match="the reward 'reward' is given twice"):
        measured(pairs, reward, reward)
    with pytest.raises(DataError, match="a subset is called 'all', the name of the whole"):
        measured(pairs_of(FOUR, subsets=["all", "s", "s", "s"]), reward)


def test_no_pairs_and_one_pair_give_tables_without_values_that_do_not_exist():
    none = pairs_of([])
    empty = Pairs(none.table.cast(pairs_of(FOUR).table.schema))
    found = measured(empty, reward_of(empty, []))
    assert found["reward", "accuracy", "all"]["value"] is None
    assert found["reward", "accuracy", "all"]["n"] == 0
    one = pairs_of(FOUR[:1])
    found = measured(one, reward_of(one, [1.0]))
    assert found["reward", "accuracy", "all"]["value"] == 1.0
    assert found["reward", "margin-length-pearson", "all"]["value"] is None


def read(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def loaded(rows):
    names = ("id", "prompt", "chosen", "rejected", "subset")
    columns = {name: [row[name] for row in rows] for name in names}
    return Pairs({**columns, "group": [row["meta"]["group"] for row in rows]})


RECORDED = {
    # accuracy with ties as mistakes, ties, prefers longer, raw spearman, pearson, ece
    "Ray2333/GRM-Gemma-2B-rewardmodel-ft": (0.5787, 0, 0.3981, -0.3346, -0.1769, 0.2351),
    "Skywork/Skywork-Reward-Gemma-2-27B": (0.6389, 1, 0.4372, -0.0564, -0.1499, 0.3156),
    "Skywork/Skywork-Reward-Llama-3.1-8B": (0.6343, 0, 0.4259, -0.1821, -0.1284, 0.3136),
    "internlm/internlm2-20b-reward": (0.6389, 0, 0.4769, 0.3605, -0.1304, 0.0354),
    "internlm/internlm2-7b-reward": (0.6065, 0, 0.4537, 0.3256, -0.1322, 0.1038),
}


@pytest.fixture(scope="module")
def judged():
    scores = {}
    for row in read("judgebench/scored.jsonl.gz"):
        scores[row["model"], row["meta"]["pair_id"], row["label"]] = row["score"]
    rows = read("judgebench/pairs.jsonl.gz")
    pairs = loaded([row for row in rows if row["meta"]["response_model"].startswith("gpt-4o")])
    ids = pairs["id"].to_pylist()
    rewards = []
    for model in RECORDED:
        chosen, rejected = (np.array([scores[model, i, label] for i in ids]) for label in (1, 0))
        rewards.append(reward_of(pairs, chosen - rejected, model, chosen=chosen, rejected=rejected))
    assert len(pairs) == 216
    return measured(pairs, *rewards)


@pytest.mark.parametrize("model", RECORDED)
def test_recorded_reward_models_on_judgebench_have_their_known_figures(judged, model):
    accuracy, ties, longer, raw, pearson, ece = RECORDED[model]

    def value(metric):
        return judged[model, metric, "all"]["value"]

    assert value("accuracy") - ties / 432 == pytest.approx(accuracy, abs=5e-5)
    assert value("ties") == ties / 216
    assert value("prefers-longer") == pytest.approx(longer, abs=5e-5)
    assert value("raw-score-length-spearman") == pytest.approx(raw, abs=1e-4)
    assert value("margin-length-pearson") == pytest.approx(pearson, abs=5e-5)
    assert value("ece-plug-in") + ties / 432 == pytest.approx(ece, abs=5e-5)
    assert value("ece") < value("ece-plug-in")


def test_accuracy_by_domain_of_judgebench_is_the_known_one(judged):
    model = "internlm/internlm2-7b-reward"
    known = {"coding": 0.5, "knowledge": 0.5895, "math": 0.7586, "reasoning": 0.6129}
    for subset, accuracy in known.items():
        found = judged[model, "accuracy", subset]["value"]
        assert found == pytest.approx(accuracy, abs=5e-5)


def test_the_length_baseline_of_hh_rlhf_is_known_with_equal_lengths_as_half_and_without():
    pairs = loaded(read("hh_rlhf/pairs.jsonl.gz"))
    reward = reward_of(pairs, np.ones(len(pairs)))
    found = measured(pairs, reward, baselines=("longer", "most-markdown"), resamples=100)
    known = {"all": 0.5377, "harmless-base": 0.4485}
    for subset, share in known.items():
        row, ties = (found["longer", metric, subset] for metric in ("accuracy", "ties"))
        decided = (row["value"] - ties["value"] / 2) / (1 - ties["value"])
        assert decided == pytest.approx(share, abs=5e-5)
        assert found["reward", "prefers-longer", subset]["value"] == pytest.approx(share, abs=5e-5)
    table = pa.table({"subset": pairs["subset"]})
    helpful = [name for name in table["subset"].unique().to_pylist() if "helpful" in name]
    parts = [found["reward", "prefers-longer", name] for name in helpful]
    share = sum(row["value"] * row["n"] for row in parts) / sum(row["n"] for row in parts)
    assert share == pytest.approx(0.6273, abs=5e-5)


def test_it_gives_the_metrics_that_it_says_and_no_others():
    """What ``check`` compares names of metrics with, on data that have everything."""
    rng = np.random.default_rng(0)
    rows = [("yes " * int(a), "no " * int(b)) for a, b in rng.integers(1, 40, (300, 2))]
    pairs = pairs_of(rows)
    margins = rng.normal(0.3, 1, 300)
    margins[:3] = 0
    reward = reward_of(pairs, margins, chosen=margins, rejected=np.zeros(300))
    baselines = ("longer", "shorter", "random", "most-markdown", "first-character", "n-gram")
    step = Pairwise(baselines=baselines)
    given = set(step.evaluate(pairs, [reward], seed=0).table["metric"].to_pylist())
    assert given - set(step.foresee({}).metrics) == set()
    assert set(step.foresee({}).metrics) - given <= {"missing"}
    none = Pairwise(baselines=("random",))
    given = set(none.evaluate(pairs, [reward], seed=0).table["metric"].to_pylist())
    assert given <= set(none.foresee({}).metrics)


def test_pairs_in_files_are_measured_without_holding_their_rows(tmp_path, monkeypatch):
    pairs = pairs_of(FOUR * 3, subsets=["s", "t"] * 6)
    reward = reward_of(pairs, np.arange(12) - 4.5)
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        pq.write_table(pairs.table.slice(4 * number, 4), file)
    stored = Pairs(ParquetParts(files, [4, 4, 4]), name="pairs")
    expected = measured(pairs, reward)
    monkeypatch.setattr(ParquetParts, "read", None)
    assert measured(stored, reward) == expected
