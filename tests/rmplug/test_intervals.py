from __future__ import annotations

import numpy as np
import pytest

from rmplug.intervals import bounds, resampled_sums, row_weights

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
