from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug.stats.bootstrap import bounds, resampled_sums, row_weights, share_bounds, weight_blocks

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
    assert bounds(share) == pytest.approx((0.7075, 0.7925), abs=0.003)


def test_bounds_are_those_of_the_draws_that_exist():
    assert bounds(np.array([*np.arange(1001.0), np.nan, np.inf])) == (25.0, 975.0)
    assert bounds(np.full(3, np.nan)) == (None, None)


def test_blocks_of_weights_are_those_of_one_resample_at_a_time():
    blocks = np.concatenate(list(weight_blocks(GROUPS, 1000, 5)))
    assert blocks.shape == (1000, len(GROUPS))
    firsts = np.searchsorted(GROUPS, GROUPS)
    assert np.array_equal(blocks, blocks[:, firsts])
    assert (blocks[:, np.unique(firsts)].sum(axis=1) == 60).all()


def test_draws_from_few_groups_are_read_with_wider_tails():
    draws = np.random.default_rng(1).normal(size=200_000)
    plain, few, many = (bounds(draws, groups) for groups in (None, 10, 1000))
    wider = stats.t.ppf(0.975, 9) * (10 / 9) ** 0.5
    assert few == pytest.approx((-wider, wider), rel=0.02)
    assert many == pytest.approx(plain, abs=0.02)
    assert bounds(draws, 1) == (draws.min(), draws.max())


@pytest.mark.parametrize("groups", [2, 3, 5, 6, 30, 400])
def test_the_interval_of_a_share_is_wilsons_with_a_t_quantile(groups):
    draws = np.random.default_rng(2).binomial(groups, 0.3, 100_000) / groups
    low, high = share_bounds(0.3, draws, groups)
    t = stats.t.ppf(0.975, groups - 1)
    number = 0.21 / (draws.var() * groups / (groups - 1))
    for bound in (low, high):
        assert (bound - 0.3) ** 2 == pytest.approx(t**2 * bound * (1 - bound) / number, rel=1e-3)


def test_a_share_of_one_of_few_groups_is_not_certain():
    assert share_bounds(1.0, np.ones(50), 10)[1] == pytest.approx(1.0)
    assert share_bounds(1.0, np.ones(50), 10)[0] == pytest.approx(10 / (10 + 2.2622**2), abs=1e-4)
    assert share_bounds(0.5, np.full(50, 0.5), 10) == (0.5, 0.5)
    assert share_bounds(1.0, np.ones(50), 1) == (None, None)
