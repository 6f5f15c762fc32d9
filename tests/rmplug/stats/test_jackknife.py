"""The jackknife over groups."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug.stats.estimates import mean
from rmplug.stats.jackknife import jackknife

RNG = np.random.default_rng(5)


def ratio(sums):
    return sums["x"] / sums["n"]


def test_of_a_mean_it_is_the_usual_interval():
    x = RNG.normal(size=50)
    found = jackknife({"x": x, "n": np.ones(50)}, ratio)
    expected = mean(x)
    assert found.value == pytest.approx(expected.value)
    assert found.influence == pytest.approx(expected.influence)
    assert found.interval(np.arange(50)) == pytest.approx(expected.interval(np.arange(50)))


def test_a_ratio_over_an_uncertain_unit_is_wider_than_over_a_known_one():
    def in_units(sums):
        return sums["x"] / sums["n"] / np.sqrt(sums["s2"] / sums["n"])

    n, x, squares = np.ones(40), 1 + 0.01 * RNG.normal(size=40), RNG.normal(size=40) ** 2
    low, high = jackknife({"x": x, "n": n, "s2": squares}, in_units).interval(np.arange(40))
    # the relative error of a standard deviation of 40 normal numbers is 1 / sqrt(80)
    assert high - low == pytest.approx(2 * 2.02 / np.sqrt(80) * (low + high) / 2, rel=0.35)


def test_what_one_group_alone_decides_has_no_interval():
    sums = {"x": np.array([3.0, 0.0]), "n": np.array([2.0, 0.0])}
    found = jackknife(sums, ratio)
    assert found.value == 1.5
    assert found.interval(np.arange(2)) == (None, None)
