"""Accuracy at equal length, by length gap, and correlations within pairs with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from rmplug import Features, Pairs
from rmplug.stats.bootstrap import intervals
from rmplug_bench import Pairwise
from rmplug_bench.statistics._length_control import accuracy_at_no_gap, controlled_columns

RNG = np.random.default_rng(0)


def pairs_with_gaps(gaps, longest=400):
    chosen = ["x" * int(longest + max(gap, 0)) for gap in gaps]
    rejected = ["x" * int(longest - min(gap, 0)) for gap in gaps]
    ids = [f"p{i}" for i in range(len(gaps))]
    return Pairs(
        {"id": ids, "prompt": [f"q{i}" for i in ids], "chosen": chosen, "rejected": rejected}
    )


def table_of(pairs, margins, **params):
    reward = Features({"id": pairs["id"], "margin": np.asarray(margins, float)}, "reward")
    params = {"resamples": 500, "baselines": ("longer",), **params}
    rows = Pairwise(**params).evaluate(pairs, [reward], seed=1).table.to_pylist()
    return [row for row in rows if row["model"] == "reward"]


def value(rows, metric):
    (row,) = (row for row in rows if row["metric"] == metric)
    return row


def sums_of(columns):
    return {name: np.asarray(column.sum()) for name, column in columns.items()}


def test_the_fit_is_that_of_scikit_learn_but_for_a_slight_penalty():
    x = np.tanh(RNG.normal(size=(300, 2)))
    right = (RNG.random(300) < 1 / (1 + np.exp(-0.4 - x @ [1.5, -0.5]))).astype(float)
    known = np.ones(300)
    columns = {"n": known, **controlled_columns(right, x, known)}
    model = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(x, right)
    expected = 1 / (1 + np.exp(-model.intercept_[0]))
    assert float(accuracy_at_no_gap(sums_of(columns))) == pytest.approx(expected, abs=3e-4)


def test_one_step_in_a_resample_is_close_to_fitting_it_anew():
    x = np.tanh(RNG.normal(size=(400, 2)))
    right = (RNG.random(400) < 1 / (1 + np.exp(-0.4 - x @ [1.5, -0.5]))).astype(float)
    columns = {"n": np.ones(400), **controlled_columns(right, x, np.ones(400))}
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(0, 400, 400)
        stepped = accuracy_at_no_gap(sums_of({k: v[rows] for k, v in columns.items()}))
        anew = controlled_columns(right[rows], x[rows], np.ones(400))
        fitted = accuracy_at_no_gap(sums_of({"n": np.ones(400), **anew}))
        assert float(stepped) == pytest.approx(float(fitted), abs=0.008)


def test_a_model_that_only_counts_characters_is_at_chance_when_lengths_are_equal():
    own = np.random.default_rng(11)
    gaps = np.where(own.random(1500) < 0.75, 1, -1) * own.integers(1, 300, 1500)
    rows = table_of(pairs_with_gaps(gaps), gaps + own.normal(size=1500) * 40)
    assert value(rows, "accuracy")["value"] > 0.7
    controlled = value(rows, "length-controlled-accuracy")
    assert controlled["low"] < 0.5 < controlled["high"]
    assert controlled["high"] - controlled["low"] < 0.2


def test_a_model_that_never_looks_at_length_keeps_its_accuracy():
    gaps = RNG.integers(-200, 400, 1500)
    right = RNG.random(1500) < 0.7
    rows = table_of(pairs_with_gaps(gaps), np.where(right, 1.0, -1.0))
    accuracy, controlled = (
        value(rows, name)["value"] for name in ("accuracy", "length-controlled-accuracy")
    )
    assert controlled == pytest.approx(accuracy, abs=0.03)


def test_a_model_that_is_always_right_has_a_finite_controlled_accuracy_and_an_interval():
    rows = table_of(pairs_with_gaps(RNG.integers(-50, 50, 40)), np.ones(40))
    row = value(rows, "length-controlled-accuracy")
    assert 0.99 < row["value"] < 1 and 0.8 < row["low"] < 1


def test_accuracy_by_length_gap_has_a_point_for_each_tenth_at_its_median_gap():
    gaps = np.arange(-100, 100)
    rows = [r for r in table_of(pairs_with_gaps(gaps), gaps) if r["axis"]]
    assert [row["at"] for row in rows] == [-90.5 + 20 * k for k in range(10)]
    assert [row["value"] for row in rows[:4]] == [0.0] * 4
    assert [row["value"] for row in rows[6:]] == [1.0] * 4
    assert rows[5]["value"] == pytest.approx((19 + 0.5) / 20)
    assert {row["metric"] for row in rows} == {"accuracy-by-length-gap"}
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 20 for row in rows)


def test_few_pairs_have_fewer_parts_and_equal_gaps_one():
    few = [r for r in table_of(pairs_with_gaps(np.arange(35)), np.ones(35)) if r["axis"]]
    assert [row["n"] for row in few] == [12, 11, 12]
    same = [r for r in table_of(pairs_with_gaps(np.zeros(50)), np.ones(50)) if r["axis"]]
    assert [(row["at"], row["n"]) for row in same] == [(0.0, 50)]


def test_a_share_of_one_has_an_interval_that_holds_more_than_a_point():
    columns = {"n": np.ones(30), "x": np.ones(30)}
    mean = lambda sums: {"mean": sums["x"] / sums["n"]}  # noqa: E731
    low, high = intervals(columns, np.arange(30), mean, 200, [1], ("mean",))["mean"]
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(30 / (30 + stats.t.ppf(0.975, 29) ** 2), abs=1e-3)
