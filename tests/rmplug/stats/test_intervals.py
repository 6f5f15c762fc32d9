from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug.stats.bootstrap import MOST_UNITS, intervals, resampled_sums, row_weights
from rmplug.stats.intervals import (
    difference_interval,
    explained_interval,
    fold_interval,
    held_out_freedom,
    interval_of_draws,
    median_interval,
    percentile_interval,
    share_interval,
    t_interval,
    t_quantile,
    wilson_interval,
)

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(60) * 7, RNG.integers(1, 5, 60))
VALUES = RNG.normal(size=len(GROUPS))


def test_sums_are_those_of_the_rows_that_are_drawn():
    sums = resampled_sums({"n": np.ones(len(GROUPS)), "x": VALUES}, GROUPS, 300, 5)
    weights = np.array(list(row_weights(GROUPS, 300, 5)))
    assert sums["n"].tolist() == weights.sum(axis=1).tolist()
    assert sums["x"] == pytest.approx(weights @ VALUES)


def test_rows_of_a_group_are_drawn_together_and_groups_with_replacement():
    weights = np.array(list(row_weights(GROUPS, 100, 0)))
    firsts = np.searchsorted(GROUPS, GROUPS)
    assert np.array_equal(weights, weights[:, firsts])
    assert (weights[:, np.unique(firsts)].sum(axis=1) == 60).all()
    assert weights.max() > 2 and (weights == 0).any()


def test_few_outcomes_are_drawn_with_the_spread_of_a_binomial():
    right = np.repeat([1.0, 0.0], [300, 100])
    share = resampled_sums({"right": right}, np.arange(400), 20_000, 0)["right"] / 400
    assert share.std() == pytest.approx((0.75 * 0.25 / 400) ** 0.5, rel=0.02)
    assert percentile_interval(share, 400) == pytest.approx((0.7075, 0.7925), abs=0.003)


def test_draws_that_do_not_exist_are_left_out():
    low, high = percentile_interval(np.array([*np.arange(1001.0), np.nan, np.inf]), 10**6)
    assert (low, high) == pytest.approx((25.0, 975.0), abs=0.01)
    assert percentile_interval(np.full(3, np.nan), 10) == (None, None)


def test_many_groups_are_drawn_in_blocks_with_the_same_spread():
    groups = np.repeat(np.arange(5000), 2)
    values = RNG.normal(size=5000)[groups] + RNG.normal(size=10_000)
    sums = resampled_sums({"n": np.ones(10_000), "x": values}, groups, 4000, 0)
    by_group = np.bincount(groups, values - values.mean())
    spread = np.sqrt((by_group**2).sum()) / 10_000
    assert MOST_UNITS < 5000 and (sums["n"] == 10_000).all()
    assert (sums["x"] / sums["n"]).std() == pytest.approx(spread, rel=0.08)


def test_draws_from_few_groups_are_read_with_wider_tails():
    draws = np.random.default_rng(1).normal(size=200_000)
    few, many = (percentile_interval(draws, groups) for groups in (10, 1000))
    wider = stats.t.ppf(0.975, 9) * (10 / 9) ** 0.5
    assert few == pytest.approx((-wider, wider), rel=0.02)
    assert many == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.02)
    assert percentile_interval(draws, 1) == (None, None)


@pytest.mark.parametrize("groups", [2, 3, 5, 6, 30, 400])
def test_the_interval_of_a_share_is_wilsons_with_a_t_quantile(groups):
    draws = np.random.default_rng(2).binomial(groups, 0.3, 100_000) / groups
    low, high = share_interval(0.3, draws, groups)
    t = stats.t.ppf(0.975, groups - 1)
    number = 0.21 / (draws.var() * groups / (groups - 1))
    for bound in (low, high):
        assert (bound - 0.3) ** 2 == pytest.approx(t**2 * bound * (1 - bound) / number, rel=1e-3)


def test_a_share_of_one_of_few_groups_is_not_certain():
    assert share_interval(1.0, np.ones(50), 10)[1] == pytest.approx(1.0)
    assert share_interval(1.0, np.ones(50), 10)[0] == pytest.approx(10 / (10 + 2.2622**2), abs=1e-4)
    assert share_interval(1.0, np.ones(50), 1) == (None, None)


def test_a_share_that_is_the_same_in_every_group_is_not_certain_either():
    """Each group counts as one observation, as it does where all groups are right."""
    low, high = share_interval(0.5, np.full(50, 0.5), 10)
    t = stats.t.ppf(0.975, 9)
    assert (high - low) / 2 == pytest.approx(
        t * (0.25 / 10 + t**2 / 400) ** 0.5 / (1 + t**2 / 10), rel=1e-4
    )
    columns = {"n": np.ones(8), "right": np.tile([1.0, 0.0], 4)}
    share = lambda sums: {"accuracy": sums["right"] / sums["n"]}  # noqa: E731
    found = intervals(columns, np.arange(8) // 2, share, 200, 0, ("accuracy",))["accuracy"]
    assert found[0] < 0.2 and found[1] > 0.8


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 30, 500])
def test_quantiles_of_t_are_those_of_scipy(freedom):
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)


def test_intervals_of_shares_by_variance_are_those_of_independent_rows():
    found = wilson_interval(0.3, 0.21 / 500, 500)
    expected = stats.binomtest(150, 500).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_each_scale_keeps_its_limits():
    assert t_interval(0.9, 0.09, 10, "correlation")[1] < 1
    assert t_interval(0.95, 0.09, 10, "explained")[1] < 1
    assert t_interval(0.1, 0.09, 10, "positive")[0] > 0
    low, high = t_interval(0.1, 0.09, 10, "plain")
    assert (high - low) / 2 == pytest.approx(0.3 * stats.t.ppf(0.975, 10), rel=1e-4)
    low, high = t_interval(0.6, 1 / 100 * (1 - 0.36) ** 2, 10**6, "correlation")
    assert (low, high) == pytest.approx(np.tanh(np.arctanh(0.6) + np.array([-0.196, 0.196])), 1e-3)


def test_draws_of_a_scaled_statistic_give_its_t_interval():
    draws = np.random.default_rng(1).normal(0.6, 0.05, 100_000)
    found = interval_of_draws(0.6, draws, 20, "correlation")
    assert found == pytest.approx(t_interval(0.6, 0.0025 * 20 / 19, 19, "correlation"), abs=2e-3)
    assert interval_of_draws(0.6, draws, 1, "correlation") == (None, None)


def test_the_interval_of_a_median_holds_it_about_as_often_as_it_says():
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=40)[np.arange(120) // 3] + rng.normal(size=120)
        low, high = median_interval(values, np.arange(120) // 3)
        held += low <= 0 <= high
    assert 0.92 <= held / 300 <= 0.985
    assert median_interval(values, np.zeros(120)) == (None, None)


def test_folds_give_the_interval_of_nadeau_and_bengio():
    by_fold = np.array([0.3, 0.5, 0.4, 0.2, 0.6])
    half = stats.t.ppf(0.975, 4) * by_fold.std(ddof=1) * (1 / 5 + 1 / 4) ** 0.5
    assert fold_interval(by_fold) == pytest.approx((0.4 - half, 0.4 + half), rel=1e-3)
    assert fold_interval(np.array([0.3, np.nan])) == (None, None)


def test_numbers_out_of_fold_have_the_freedom_of_one_fold():
    assert [held_out_freedom(groups, 5) for groups in (5, 20, 1000)] == [2, 3, 199]


def test_the_interval_of_a_difference_is_that_of_two_independent_means():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        one, two = rng.normal(1, 2, 30), rng.normal(0.5, 1, 50)
        ends = [
            t_interval(float(x.mean()), float(x.var(ddof=1)) / len(x), len(x) - 1, "plain")
            for x in (one, two)
        ]
        low, high = difference_interval(float(one.mean()), ends[0], float(two.mean()), ends[1])
        assert low is not None and high is not None
        held += low <= 0.5 <= high
    assert 0.92 < held / 400 < 0.99


def test_a_difference_has_no_interval_where_one_of_the_two_has_none():
    assert difference_interval(1.0, (0.5, 1.5), 0.0, (None, None)) == (None, None)
    low, high = difference_interval(0.9, (0.8, 0.95), 0.5, (0.4, 0.6))
    assert low == pytest.approx(0.4 - np.hypot(0.1, 0.1))
    assert high == pytest.approx(0.4 + np.hypot(0.05, 0.1))


def test_an_explained_share_near_nothing_is_held_as_often_from_above_as_from_below():
    """A weight of size t standard errors explains t² / n; what is estimated of it is the square of
    a normal number, whose standard error grows with it."""
    rng, n = np.random.default_rng(5), 1000
    for t in (1.0, 3.0, 5.0):
        missed = np.zeros((2, 2))
        for drawn in rng.normal(t, 1, 2000).tolist():
            value, size, truth = (drawn**2 - 1) / n, drawn**2 / n, t**2 / n
            variance = 4 * size * (1 - size) ** 2 / n
            both = (
                explained_interval(value, size, variance, n),
                t_interval(value, variance, n, "explained"),
            )
            missed += [[low > truth, high < truth] for low, high in both]
        new, old = missed / 2000
        assert new.sum() < 0.07 and new[1] < 0.04 < old[1]


def test_the_interval_of_an_explained_share_ends_before_one_and_is_usual_far_from_nothing():
    for value, size, variance in ((0.95, 0.96, 0.0001), (0.5, 0.49, 0.0004)):
        low, high = explained_interval(value, size, variance, 500)
        usual = t_interval(value, variance, 500, "explained")
        assert (low, high) == pytest.approx(usual, abs=0.003)
    assert explained_interval(0.99, 0.98, 0.01, 5)[1] <= 1
    assert explained_interval(0.0, 0.0, 0.0, 50) == pytest.approx((0, 0))
    # predictions larger than the target, which are as good as worthless
    assert explained_interval(-1.0, 1.5, 0.01, 50) == t_interval(-1.0, 0.01, 50, "explained")
    assert explained_interval(float("nan"), 0.1, 0.1, 50) == (None, None)
