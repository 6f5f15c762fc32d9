"""What explains a reward: planted shares are found, chance is not, and all of it is written."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from rmplug import DataError, Features, Pairs, Responses, join
from rmplug.known import known_of
from rmplug.notices import collect_notices
from rmplug.stats.folds import deal_folds
from rmplug.testing import check_step, small_features, small_pairs
from rmplug_tabular import Explain
from rmplug_tabular.explain._structure import Prompts, Shuffler

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))
PROMPTS, EACH = 120, 3
GROUP = np.repeat(np.arange(PROMPTS), EACH)
KEYS = {"id": [f"row-{i}" for i in range(len(GROUP))], "group": [f"p{i}" for i in GROUP]}
QUICK = {"folds": 5, "permutations": 39, "resamples": 20, "strengths": (1e-3, 0.1, 1.0, 30.0)}


def draw(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = ("length", "bold", "noise", "chance")
    return {name: rng.normal(size=len(GROUP)) for name in names}


@pytest.fixture(scope="module")
def data():
    """Length and bold move the reward, bold more where the text is long; prompts differ."""
    x, rng = draw(), np.random.default_rng(1)
    reward = x["length"] + 0.7 * x["bold"] + 0.8 * x["length"] * x["bold"]
    reward += 0.8 * rng.normal(size=PROMPTS)[GROUP] + 0.7 * rng.normal(size=len(GROUP))
    words = Features({**KEYS, **{name: x[name] for name in ("length", "bold", "noise")}}, "words")
    state = Features({**KEYS, "v": rng.normal(size=(len(GROUP), 5))}, "state")
    return [words, state], Features({**KEYS, "reward": reward}, "reward")


@pytest.fixture(scope="module")
def fit(data, tmp_path_factory):
    step = Explain(
        **{**QUICK, "permutations": 99}, model="lightgbm", rounds=60, tree_permutations=19,
        families={"length": "words.length", "markdown": "words.bold"},
    )  # fmt: skip
    return step.fit(*data, seed=1, directory=tmp_path_factory.mktemp("fit"))


def share(fit, part, name, family=""):
    rows = fit.tables["shares"].to_pylist()
    [found] = [
        row for row in rows
        if (row["part"], row["share"], row["family"]) == (part, name, family)
    ]  # fmt: skip
    return found


def test_each_family_gets_the_share_that_was_planted(fit):
    variance = 1 + 0.7**2 + 0.8**2 + 0.8**2 + 0.7**2
    for family, effect in (("length", 1.0), ("markdown", 0.7)):
        for name in ("alone", "unique"):
            found = share(fit, "all", name, family)
            assert found["low"] < effect**2 / variance < found["high"] < found["low"] + 0.4
            assert found["beyond_chance"] and found["null_high"] < found["value"]
    for family in ("rest of words", "state vector"):
        assert not any(share(fit, "all", n, family)["beyond_chance"] for n in ("alone", "unique"))
    assert share(fit, "all", "interaction")["beyond_chance"]


def test_a_share_reaches_further_up_than_down_since_it_is_a_square(fit):
    for name in ("alone", "unique"):
        found = share(fit, "between", name, "markdown")
        assert 0 < found["value"] < 0.3
        assert found["high"] - found["value"] > 1.1 * (found["value"] - found["low"])


def test_prompts_and_responses_are_told_apart(fit):
    numbers = {row["metric"]: row for row in fit.numbers if "row" not in row}
    both = numbers["variance-between"]["value"] + numbers["variance-within"]["value"]
    assert both == pytest.approx(1)
    truth = 0.8**2 / (1 + 0.7**2 + 2 * 0.8**2 + 0.7**2)
    assert (
        numbers["intraclass-correlation"]["low"] < truth < numbers["intraclass-correlation"]["high"]
    )
    within, between = (share(fit, part, "together") for part in ("within", "between"))
    assert within["value"] > between["value"], "prompts differ by what no feature knows"
    assert (within["n"], between["n"]) == (PROMPTS * EACH, PROMPTS)


def test_the_sums_give_what_ridge_regressions_fold_by_fold_give(data, tmp_path):
    features, target = data
    step = Explain(**{**QUICK, "strengths": (0.2,)}, include=("state.v",))
    fit = step.fit(features, target, seed=3, directory=tmp_path)
    x = np.array(features[1]["v"].to_pylist())
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y, fold = target["reward"].to_numpy(), deal_folds(GROUP, 5, 3)
    for part, apart in (("all", False), ("within", True)):
        guess, level = np.empty(len(y)), np.empty(len(y))
        means = [np.array([v[g == GROUP].mean(axis=0) for g in range(PROMPTS)]) for v in (x, y)]
        xs, ys = (v - m[GROUP] if apart else v for v, m in zip((x, y), means, strict=True))
        scaled = xs / xs.std(axis=0) / np.sqrt(5)
        for k in range(5):
            level[fold == k] = ys[fold != k].mean()
            model = Ridge(alpha=0.2 * (fold != k).sum(), fit_intercept=not apart)
            guess[fold == k] = model.fit(scaled[fold != k], ys[fold != k]).predict(
                scaled[fold == k]
            )
        r2 = 1 - ((ys - guess) ** 2).sum() / ((ys - level) ** 2).sum()
        assert share(fit, part, "together")["value"] == pytest.approx(r2, abs=1e-9)
    found = fit.open().predict(join([features[1]]).table)["prediction"]
    scaled = x / np.sqrt(5)
    whole = Ridge(alpha=0.2 * len(y)).fit(scaled, y).predict(scaled)
    assert found == pytest.approx(whole, abs=1e-9)


def test_a_permuted_target_keeps_its_prompts_and_what_differs_within_them():
    sizes = np.array([1] * 12 + [3] * 15 + [7, 8])
    prompts = Prompts(np.repeat(np.arange(len(sizes)), sizes))
    target = np.random.default_rng(0).normal(size=sizes.sum())
    means, deviations = Shuffler(prompts, 5).permuted(target, 4)
    apart = prompts.deviations(target)
    for column in range(4):
        assert sorted(means[:, column]) == pytest.approx(sorted(prompts.means(target)))
        assert sorted(means[:12, column]) == pytest.approx(sorted(prompts.means(target)[:12]))
        for group in range(len(sizes)):
            inside = prompts.of == group
            assert sorted(deviations[inside, column]) == pytest.approx(sorted(apart[inside]))
    assert not np.allclose(means[:, 0], prompts.means(target))


def test_the_sparse_sum_has_the_planted_features_with_their_signs(fit):
    for part in ("all", "within", "between"):
        rows = {r["feature"]: r for r in fit.tables["sparse"].to_pylist() if r["part"] == part}
        assert rows["words.length"]["stable"] and rows["words.length"]["same_sign"] == 1
        assert 0 < rows["words.length"]["low"] < rows["words.length"]["coefficient"]
        assert not rows["words.noise"]["stable"]
        assert "state.v" not in rows, "single numbers of a vector mean nothing by themselves"


def test_surprises_stand_beside_the_nearest_rows_of_other_prompts(fit, data):
    table = fit.tables["surprises"].to_pandas()
    rows = fit.tables["rows"].to_pandas().set_index("id")
    largest = rows["residual"].abs().sort_values(ascending=False)
    assert table["id"].unique().tolist() == largest.index[:10].tolist()
    assert rows.index.tolist() == KEYS["id"]
    vectors = np.array(data[0][1]["v"].to_pylist())
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = KEYS["id"].index(table["id"][0])
    cosine = np.where(GROUP[own] == GROUP, -2, vectors @ vectors[own])
    assert table["neighbour"][0] == KEYS["id"][int(cosine.argmax())]
    assert table["distance"][0] == pytest.approx(1 - cosine.max())


def test_a_margin_lies_within_prompts_and_drifts_with_the_turns(tmp_path):
    x, rng = draw(), np.random.default_rng(2)
    turns = rng.integers(1, 4, PROMPTS)[GROUP] * 2 - 1
    margin = x["length"] + 0.5 * turns + rng.normal(size=len(GROUP))
    talk = [[{"role": "user", "content": "Go on."}] * int(n) for n in turns]
    pairs = Pairs({**KEYS, "prompt": talk, "chosen": ["a"] * len(GROUP),
                   "rejected": ["b"] * len(GROUP)}, "pairs")  # fmt: skip
    words = Features({**KEYS, "length": x["length"]}, "words")
    step = Explain(**QUICK)
    found = step.fit([words], Features({**KEYS, "margin": margin}, "reward"), pairs,
                     seed=1, directory=tmp_path)  # fmt: skip
    assert set(found.tables["shares"]["part"].to_pylist()) == {"within"}
    numbers = {row["metric"]: row for row in found.numbers}
    slope = numbers["drift-per-turn"]
    assert slope["low"] < 0.5 < slope["high"] < slope["low"] + 0.5 and slope["p"] < 0.05
    points = [row for row in found.numbers if row.get("at") and row["model"] == "target"]
    assert [row["at"] for row in points] == [1, 3, 5]
    assert all(row["low"] < row["value"] < row["high"] for row in points)
    assert (
        "With each turn before the response the target changes by +0.46 (95"
        in points[0]["sentence"]
    )


def test_the_saved_fit_predicts_with_line_and_trees(fit, data):
    names = {path.name for path in fit.directory.iterdir()}
    assert names == {"fit.json", "model.txt"}
    predicted = fit.open().predict(join(data[0]).table)["prediction"]
    target = data[1]["reward"].to_numpy()
    assert 1 - np.var(target - predicted) / np.var(target) > 0.5
    again = fit.open().predict(join(data[0]).table.slice(0, 7))["prediction"]
    assert again.tolist() == predicted[:7].tolist()


def test_what_is_wrong_is_told_before_and_while_running(data, tmp_path):
    features, target = data
    known = {"features": [known_of(one) for one in features], "target": [known_of(target)]}
    step = Explain(
        permutations=19,
        families={"a": ["words.len*"], "b": ["words.length", "words.tone"], "c": "state.v"},
    )
    told = dict(step.mistakes(known))
    assert told["permutations"].endswith("set at least 59")
    assert told["families.b"] in (
        "no feature matches 'words.tone'",
        "words.length is in a too; a feature belongs to one family",
    )
    with pytest.raises(DataError, match="words.length is in the families a and b"):
        step = Explain(families={"a": "words.len*", "b": "words.length"})
        step.fit(features, target, seed=1, directory=tmp_path)
    few = [Features(one.table.slice(0, 9), one.name) for one in (features[0], target)]
    with pytest.raises(DataError, match=r"needs 10 groups \(prompts\) at least, there are 3"):
        Explain().fit([few[0]], few[1], seed=1, directory=tmp_path)


def test_features_of_prompts_alone_explain_what_lies_between_prompts(tmp_path):
    rng = np.random.default_rng(3)
    topic = rng.normal(size=PROMPTS)[GROUP]
    words = Features({**KEYS, "topic": topic}, "words")
    reward = Features({**KEYS, "reward": topic + rng.normal(size=len(GROUP))}, "reward")
    with collect_notices() as told:
        found = Explain(**QUICK).fit([words], reward, seed=1, directory=tmp_path)
    assert set(found.tables["shares"]["part"].to_pylist()) == {"all", "between"}
    assert ("no feature differs within prompts", "dropped") in told
    same = Features({**KEYS, "topic": np.ones(len(GROUP))}, "words")
    with pytest.raises(DataError, match="no feature differs between rows"):
        Explain(**QUICK).fit([same], reward, seed=1, directory=tmp_path / "same")


def test_a_row_that_is_missed_most_is_shown_though_numbers_of_its_vector_are_missing(tmp_path):
    rng = np.random.default_rng(4)
    vectors, rewards = rng.normal(size=(len(GROUP), 4)), rng.normal(size=len(GROUP))
    vectors[7], rewards[7] = np.nan, 30.0
    state = Features({**KEYS, "v": vectors}, "state")
    reward = Features({**KEYS, "reward": rewards}, "reward")
    found = Explain(**QUICK, missing="impute-median").fit(
        [state], reward, seed=1, directory=tmp_path
    )
    first = found.tables["surprises"].slice(0, 3).to_pylist()
    assert [(row["rank"], row["id"]) for row in first] == [(1, "row-7")] * 3
    assert all(0 <= row["distance"] <= 2 for row in first)


def test_explain_conforms():
    rows = 28
    pairs = small_pairs(rows)
    groups = {"id": pairs["id"].to_pylist(), "group": [f"p{i // 2}" for i in range(rows)]}
    words = Features({**groups, **{n: small_features(pairs)[n] for n in ("first", "last")}}, "w")
    target = Features({**groups, "reward": np.random.default_rng(0).normal(size=rows)}, "t")
    check_step(Explain, QUICK, {"features": [words], "target": target})


def test_length_moves_the_rewards_of_two_released_models_to_opposite_sides(tmp_path):
    file = SHARED / "judgebench/scored.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        scored = [json.loads(line) for line in lines]
    effects = {}
    for model in ("Ray2333/GRM-Gemma-2B-rewardmodel-ft", "internlm/internlm2-20b-reward"):
        rows = [row for row in scored if row["model"] == model]
        texts = ("id", "prompt", "response")
        table = Responses({key: [row[key] for row in rows] for key in texts}).table
        keys = {"id": table["id"], "group": [row["prompt"] for row in rows]}
        length = np.log1p([len(row["response"]) for row in rows])
        words = Features({**keys, "length": length}, "words")
        reward = Features({**keys, "score": [row["score"] for row in rows]}, "reward")
        folder = tmp_path / model.partition("/")[0]
        folder.mkdir()
        fit = Explain(**QUICK).fit([words], reward, seed=1, directory=folder)
        assert share(fit, "between", "alone", "words")["beyond_chance"]
        sparse = {row["part"]: row for row in fit.tables["sparse"].to_pylist()}
        effects[model.partition("/")[0]] = sparse["between"]
    assert effects["Ray2333"]["stable"] and effects["Ray2333"]["high"] < 0
    assert effects["internlm"]["stable"] and effects["internlm"]["low"] > 0
