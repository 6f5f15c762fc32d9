"""p-values and intervals of several tests at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug.stats.several_tests import (
    adjust_false_discovery,
    adjust_holm,
    level_for_all,
    levels_of_discovery,
)
from rmplug.stats.t_tests import t_critical

RNG = np.random.default_rng(3)


def test_holm_multiplies_the_smallest_by_their_number_and_never_goes_down():
    assert adjust_holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert adjust_holm([]).tolist() == []


@pytest.mark.parametrize(("dependence", "method"), [("positive", "bh"), ("any", "by")])
def test_the_corrections_for_false_discovery_are_those_of_scipy(dependence, method):
    for count in (1, 2, 40):
        p = RNG.uniform(size=count) ** 3
        expected = stats.false_discovery_control(p, method=method)
        assert adjust_false_discovery(p, dependence) == pytest.approx(expected)
    assert adjust_false_discovery([]).tolist() == []


@pytest.mark.parametrize("dependence", ["positive", "any"])
def test_the_level_of_each_test_is_where_it_begins_to_be_found(dependence):
    p = RNG.uniform(size=30) ** 4
    levels = levels_of_discovery(p, dependence)
    for index, level in enumerate(levels):
        for factor, found in ((0.999, True), (1.001, False)):
            changed = p.copy()
            changed[index] = level * factor
            assert (adjust_false_discovery(changed, dependence)[index] <= 0.05) == found
    assert levels_of_discovery([]).tolist() == []
    assert levels_of_discovery([0.5]).tolist() == [0.05]


def test_intervals_of_independent_numbers_have_the_level_that_bonferroni_would_give():
    level = level_for_all(RNG.normal(size=(2000, 20)), 0)
    assert level == pytest.approx(1 - 0.95 ** (1 / 20), rel=0.25)


def test_numbers_that_go_together_share_a_level_and_one_alone_keeps_it():
    one = RNG.normal(size=(500, 1))
    assert level_for_all(one, 0) == 0.05
    assert level_for_all(np.hstack([one, 0 * one]), 0) == 0.05
    assert level_for_all(one * np.arange(1, 9), 0) == pytest.approx(0.05, abs=0.01)
    near = one + 0.1 * RNG.normal(size=(500, 8))
    assert 0.02 < level_for_all(near, 0) < 0.05
    assert level_for_all(near, 7) == level_for_all(near, 7)


@pytest.mark.parametrize("groups", [6, 25])
def test_intervals_of_many_numbers_in_few_groups_hold_all_truths_at_once(groups):
    rng = np.random.default_rng(groups)
    held = []
    for seed in range(300):
        values = rng.normal(size=(groups, 40))
        means, errors = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(groups)
        level = level_for_all(values - means, seed)
        held.append(np.all(np.abs(means) <= t_critical(level, groups - 1) * errors))
    assert 0.92 <= np.mean(held) <= 0.995
