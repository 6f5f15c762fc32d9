"""Statistics of sums: rows of metrics with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from rmplug.stats.metric_rows import (
    mean_of,
    measured,
    measured_together,
    middle_ranks,
    number,
    r2_columns,
    r2_of,
    rank_columns,
    spearman_of,
    wins,
)

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=300), RNG.normal(size=300)
Y = X + NOISE
GROUPS = np.arange(300) // 3


def test_ranks_are_those_of_scipy_with_and_without_ties():
    for values in (X, RNG.integers(0, 9, 500).astype(float), np.zeros(4), np.zeros(0)):
        np.testing.assert_array_equal(middle_ranks(values), rankdata(values))


def test_statistics_of_sums_are_those_of_the_rows():
    columns = {"x": X, **r2_columns(Y, X), **rank_columns(X, Y)}
    statistics = {"mean": mean_of("x"), "r2": r2_of(), "spearman": spearman_of()}
    mean, r2, spearman = measured(columns, statistics, GROUPS, 0, "part")
    assert mean["value"] == pytest.approx(X.mean())
    assert r2["value"] == pytest.approx(1 - (NOISE**2).sum() / ((Y - Y.mean()) ** 2).sum())
    assert spearman["value"] == pytest.approx(spearmanr(X, Y).statistic)
    for row in (mean, r2, spearman):
        assert row["low"] < row["value"] < row["high"]
        assert (row["n"], row["subset"]) == (300, "part")


def test_a_tie_is_half_a_win():
    assert wins(np.array([2.0, 0.0, -0.0, -1.0])).tolist() == [1, 0.5, 0.5, 0]


def test_intervals_are_over_groups():
    column = np.repeat(RNG.normal(size=100), 3)
    widths = [
        row["high"] - row["low"]
        for groups in (np.arange(300), GROUPS)
        for row in measured({"c": column}, {"mean": mean_of("c")}, groups, 1)
    ]
    assert widths[1] / widths[0] == pytest.approx(3**0.5, rel=0.15)


def test_statistics_of_several_subsets_share_their_resamples():
    named = {("mean", "a"): mean_of("x"), ("mean", "b"): mean_of("x")}
    one, other = measured_together({"x": X}, named, GROUPS, 3)
    assert {**one, "subset": "b"} == other


def test_what_does_not_vary_has_no_value():
    flat = np.ones(6)
    columns = {**r2_columns(flat, X[:6]), **rank_columns(flat, X[:6])}
    found = measured(columns, {"r2": r2_of(), "rho": spearman_of()}, np.arange(6), 0)
    assert [(row["value"], row["low"], row["high"]) for row in found] == [(None, None, None)] * 2
    assert number("x", float("inf"), 3)["value"] is None
