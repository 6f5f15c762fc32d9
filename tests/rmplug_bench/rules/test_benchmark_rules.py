"""Each rule on items small enough to be judged by hand."""

from __future__ import annotations

from math import tanh

import numpy as np
import pytest

from rmplug import DataError, Features, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug_bench.rules._choices import ChoiceRule
from rmplug_bench.rules._definitions import Definition
from rmplug_bench.rules._flags import flagged_at
from rmplug_bench.rules.benchmarks import Benchmark


def responses(cases):
    """Rows of (case, label, score) and further columns, and the reward on them."""
    ids = [f"{row['case']}/{i}" for i, row in enumerate(cases)]
    scores = [row["score"] for row in cases]
    columns = {name: [row[name] for row in cases] for name in cases[0] if name != "score"}
    texts = {"prompt": columns["case"], "response": ids}
    reward = Features({"id": ids, "reward": np.asarray(scores, dtype=float)}, "model")
    return Responses({"id": ids, **texts, **columns}, "data"), reward


def choice(case, labels, scores, **more):
    return [
        {"case": case, "label": label, "score": score, "subset": "Focus", **more}
        for label, score in zip(labels, scores, strict=True)
    ]


def measured(data, rewards, **params):
    step = Benchmark(**{"baselines": (), "resamples": 100, **params})
    return step.evaluate(data, rewards, seed=3).table.to_pylist()


def value(rows, metric, subset="all", model="model", **where):
    [found] = [
        row["value"]
        for row in rows
        if (row["metric"], row["subset"], row["model"]) == (metric, subset, model)
        and all(row[name] == wanted for name, wanted in where.items())
    ]
    return found


def ties(number, ref, tied, several=2):
    """A ref case with one right response and a tied case with several."""
    shared = {"subset": "Ties", "group": f"ties:{number}"}
    first = [1] + [0] * (len(ref) - 1)
    right = [1] * several + [0] * (len(tied) - several)
    return choice(f"ref:{number}", first, ref, **shared, kind="ref") + choice(
        f"tied:{number}", right, tied, **shared, kind="tied"
    )


def test_of_m_responses_at_the_top_each_is_chosen_one_time_in_m():
    cases = [
        choice("won", (1, 0, 0, 0), (3, 1, 2, 0), group="a", kind=None),
        choice("lost", (1, 0, 0, 0), (1, 3, 2, 0), group="b", kind=None),
        choice("shared", (1, 0, 0, 0), (3, 3, 3, 0), group="c", kind=None),
        choice("unknown", (1, 0, 0, 0), (3, np.nan, 2, 0), group="d", kind=None),
    ]
    data, reward = responses([row for case in cases for row in case])
    rows = measured(data, [reward], benchmark="rewardbench-2")
    assert value(rows, "accuracy", "Focus") == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert value(rows, "accuracy-published", "Focus") == pytest.approx((1 + 0 + 1 / 3) / 4)
    assert value(rows, "missing") == 1


def test_ties_of_rewardbench_2_are_scored_by_their_formula():
    rows = [
        *ties(1, ref=(5, 1, 2), tied=(4, 3.5, 1)),  # gaps 3 and 2.5, spread 0.5
        *ties(2, ref=(1, 1, 0), tied=(4, 2, 1)),  # gaps 0 and 1, spread 2
        *ties(3, ref=(2, 0, 0), tied=(3, 3, 1)),  # gaps 2 and 2, spread 0
    ]
    data, reward = responses(rows)
    expected = (
        0.3 * 3 / 3  # tied cases with all right ones above
        + 0.3 * 2 / 3  # ref cases, a tie being none
        + 0.2 * 2 / 3  # gap of the tied case above its spread
        + 0.2 * 2 / 3  # the smaller gap above it
        + 0.01 * (tanh(2.5 / 0.5 - 1) + tanh(0 / 2 - 1)) / 2  # where there is a spread
    )
    table = measured(data, [reward], benchmark="rewardbench-2")
    assert value(table, "score", "Ties") == pytest.approx(expected)
    assert value(table, "score-published", "Ties") == pytest.approx(expected)
    assert {row["n"] for row in table if row["subset"] == "Ties"} == {6}


def test_ties_that_come_out_alike_have_an_interval_of_some_width():
    rows = [row for n in range(6) for row in ties(n, ref=(1, 2), tied=(4, 4, 1))]
    data, reward = responses(rows)
    table = measured(data, [reward], benchmark="rewardbench-2")
    [score] = [r for r in table if (r["metric"], r["subset"]) == ("score", "Ties")]
    assert score["value"] == pytest.approx(0.3 + 0.2)
    assert 0 < score["low"] < score["value"] - 0.1 and score["value"] + 0.1 < score["high"] < 1


def test_ties_and_choices_are_categories_of_one_mean():
    rows = ties(1, (5, 1), (4, 4, 1)) + choice("a", (1, 0), (0, 1), group="a", kind=None)
    data, reward = responses(rows)
    table = measured(data, [reward], benchmark="rewardbench-2")
    assert value(table, "score", "Focus") == 0.0
    assert value(table, "score", "Ties") == pytest.approx(1.0)
    assert value(table, "score") == pytest.approx(0.5)


def grid(case, right, wrong, subset="chat"):
    styles = ("concise", "plain", "markdown")
    return [
        {"case": case, "label": label, "style": style, "score": score, "subset": subset}
        for label, scores in ((1, right), (0, wrong))
        for style, score in zip(styles, scores, strict=True)
    ]


def test_a_style_matrix_has_its_easy_cells_below_the_diagonal():
    data, reward = responses(grid("a", (1, 2, 3), (0, 2, 2.5)) + grid("b", (0, 0, 5), (1, 1, 1)))
    table = measured(data, [reward], benchmark="rm-bench")
    # a: 1>0 1<2 1<2.5 / 2>0 2=2 2<2.5 / 3>0 3>2 3>2.5; b: only markdown right wins
    assert value(table, "easy", "chat") == pytest.approx((3 + 2) / 6)
    assert value(table, "normal", "chat") == pytest.approx((2.5 + 1) / 6)
    assert value(table, "hard", "chat") == 0.0
    assert value(table, "normal-published") == pytest.approx((2 + 1) / 6)
    assert value(table, "score") == pytest.approx((5 + 3.5) / 18)
    cell = value(table, "accuracy", "all", row="plain right", column="plain wrong")
    assert cell == pytest.approx(0.25)


def test_a_matrix_without_one_style_is_refused():
    data, reward = responses(grid("a", (1, 2, 3), (0, 2, 2.5))[:-1])
    with pytest.raises(DataError, match="right and wrong responses in the styles concise, plain"):
        measured(data, [reward], benchmark="rm-bench")


def test_a_tie_is_lost_in_two_games_and_a_vote_for_the_second_in_one():
    ids = ["a", "b", "c", "d"]
    columns = {"id": ids, "prompt": ids, "chosen": ids, "rejected": ids[::-1]}
    data = Pairs({**columns, "subset": ["math"] * 4, "place": [0, 1, 0, 1]}, "data")
    reward = Features({"id": ids, "margin": [1.0, 0.0, 0.0, -1.0]}, "model")
    table = measured(data, [reward], benchmark="judgebench")
    assert value(table, "score") == pytest.approx(0.5)
    assert value(table, "score-published") == pytest.approx(0.25)
    assert value(table, "score-one-game") == pytest.approx(0.5)
    reward = Features({"id": ids, "margin": [np.nan, np.nan, 1.0, 1.0]}, "model")
    table = measured(data, [reward], benchmark="judgebench")
    assert value(table, "score-one-game") == pytest.approx(0.75)


def test_ranks_and_pairs_within_a_case_are_those_of_plain_loops():
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 300)
    score = rng.integers(0, 5, 300).astype(float)
    case = np.sort(rng.integers(0, 60, 300))
    shuffled = rng.permutation(300)
    rows = [{"case": f"c{case[i]}", "label": int(label[i]), "score": score[i]} for i in shuffled]
    data, _ = responses(rows)
    definition = Definition(name="x", rule="best-of-n", also=("mrr", "pair-accuracy"))
    rule = ChoiceRule(data.table, definition)
    found = rule.outcomes(score[shuffled]).columns
    for place, first in enumerate(rule.items):
        mine = case == case[shuffled[first]]
        right, wrong = score[mine & (label == 1)], score[mine & (label == 0)]
        gaps = right[:, None] - wrong[None]
        if gaps.size:
            above = ((gaps > 0) + (gaps == 0) / 2).mean()
            assert found["pair-accuracy"][place] == pytest.approx(above)
            best = right.max()
            rank = 1 + (wrong > best).sum() + (wrong == best).sum() / 2
            assert found["mrr"][place] == pytest.approx(1 / rank)
            top = score[mine] == score[mine].max()
            assert found["accuracy"][place] == pytest.approx(label[mine][top].mean())


def test_intervals_are_those_of_a_bootstrap_with_the_sections_weights(tmp_path):
    page = tmp_path / "two.yaml"
    page.write_text("name: Two\nrule: pairs\nsections: {S: {a: 3, b: 1}}\n")
    rng = np.random.default_rng(5)
    right = np.r_[rng.random(400) < 0.6, rng.random(80) < 0.8]
    ids = [f"p{i}" for i in range(480)]
    columns = {"id": ids, "prompt": ids, "chosen": ids, "rejected": ids}
    data = Pairs({**columns, "subset": ["a"] * 400 + ["b"] * 80}, "data")
    reward = Features({"id": ids, "margin": np.where(right, 1.0, -1.0)}, "model")
    rows = measured(data, [reward], definition=page, resamples=5000)
    shares = [right[:400].mean(), right[400:].mean()]
    error = np.sqrt(
        (0.75**2) * shares[0] * (1 - shares[0]) / 400 + (0.25**2) * shares[1] * (1 - shares[1]) / 80
    )
    [section] = [row for row in rows if (row["metric"], row["subset"]) == ("score", "S")]
    assert section["value"] == pytest.approx(0.75 * shares[0] + 0.25 * shares[1])
    assert section["high"] - section["low"] == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_pairs_of_one_prompt_are_drawn_together_and_one_prompt_has_no_interval():
    ids = [f"p{i}" for i in range(120)]
    columns = {"id": ids, "prompt": ids, "chosen": ids, "rejected": ids}
    margin = np.repeat(np.random.default_rng(1).choice([-1.0, 1.0], 40), 3)
    reward = Features({"id": ids, "margin": margin}, "model")
    widths = []
    for group in (ids, [f"g{i // 3}" for i in range(120)], ["g"] * 120):
        data = Pairs({**columns, "subset": ["hep-go"] * 120, "group": group}, "data")
        with collect_notices() as notices:
            rows = measured(data, [reward], benchmark="rewardbench", resamples=2000)
        [row] = [row for row in rows if row["metric"] == "accuracy"]
        widths.append(None if row["low"] is None else row["high"] - row["low"])
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(3), rel=0.08)
    assert widths[2] is None
    assert ("subset 'hep-go' has one prompt group: no interval", "kept") in notices


def test_a_subset_that_a_baseline_solves_is_flagged_beside_every_model():
    ids = [f"p{i}" for i in range(60)]
    subsets = ["refusals-dangerous"] * 30 + ["hep-go"] * 30
    chosen = ["No."] * 30 + ["a long one" if i % 2 else "one" for i in range(30)]
    rejected = ["Of course, first"] * 30 + ["one" if i % 2 else "a long one" for i in range(30)]
    columns = {"id": ids, "prompt": ids, "chosen": chosen, "rejected": rejected}
    data = Pairs({**columns, "subset": subsets}, "data")
    reward = Features({"id": ids, "margin": np.ones(60)}, "model")
    named = ("shorter", "longer", "random", "first-position")
    rows = measured(data, [reward], benchmark="rewardbench", baselines=named)
    assert value(rows, "accuracy", "refusals-dangerous", "shorter", kind="baseline") == 1.0
    assert value(rows, "score", "Safety", "random") == 0.5
    assert "first-position" not in {row["model"] for row in rows}, "nothing to go by"
    flagged = [row for row in rows if row["sentence"]]
    assert [(row["subset"], row["model"]) for row in flagged] == [("refusals-dangerous", "shorter")]
    assert flagged[0]["sentence"] == (
        "On refusals-dangerous the shorter baseline has accuracy 100.0 % (95 % CI 88–100; n = 30), "
        "where chance is 50.0 %."
    )
    beside = {row["subset"]: row["baseline"] for row in rows if row["metric"] == "accuracy"}
    assert beside == {"refusals-dangerous": "shorter", "hep-go": None}


def test_what_is_flagged_depends_on_chance():
    found = [flagged_at(0.7, chance) for chance in (0.5, 0.25, 0.1, np.nan)]
    assert found == pytest.approx([0.7, 7 / 16, 7 / 34, np.inf])


def test_of_several_outputs_the_reward_counts_or_each_is_a_model():
    ids = ["a", "b"]
    columns = {"id": ids, "prompt": ["q", "q"], "response": ids, "label": [1, 0]}
    data = Responses(columns, "data")
    several = Features({"id": ids, "reward.safe": [1.0, 0.0], "reward.kind": [0.0, 1.0]}, "m")
    rows = measured(data, [several], benchmark="rewardmath")
    assert (value(rows, "score", model="m.safe"), value(rows, "score", model="m.kind")) == (
        1.0,
        0.0,
    )
    whole = Features({"id": ids, "reward": [1.0, 1.0], "reward.kind": [0.0, 1.0]}, "m")
    rows = measured(data, [whole], benchmark="rewardmath")
    assert {row["model"] for row in rows} == {"m"} and value(rows, "score", model="m") == 0.5


def test_a_reward_that_lacks_responses_is_refused_by_their_ids():
    data, reward = responses(choice("a", (1, 0), (1, 2), group="a"))
    short = Features(reward.table.slice(0, 1), "model")
    with pytest.raises(DataError, match=r"model has no row for 1 of 2 responses \(a/1\)"):
        measured(data, [short], benchmark="rewardmath")
