"""Statistics with the influence of rows, and the intervals that are made of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import r2_score, roc_auc_score

from rmplug.stats.bootstrap import row_weights
from rmplug.stats.estimates import (
    area_under_curve,
    explained_variance,
    mean,
    spearman,
)
from rmplug.stats.intervals import group_variance
from rmplug.stats.metric_rows import estimated

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 6, 300).astype(float)
GUESS = np.round(TARGET + 2 * RNG.normal(size=300), 1)
HIGHER = TARGET > 2
GROUPS = np.arange(300) // 3
STATISTICS = {
    "spearman": (
        lambda rows: spearman(TARGET[rows], GUESS[rows]),
        lambda rows: spearmanr(TARGET[rows], GUESS[rows]).statistic,
    ),
    "r2": (
        lambda rows: explained_variance(TARGET[rows], GUESS[rows]),
        lambda rows: r2_score(TARGET[rows], GUESS[rows]),
    ),
    "auc": (
        lambda rows: area_under_curve(HIGHER[rows], GUESS[rows]),
        lambda rows: roc_auc_score(HIGHER[rows], GUESS[rows]),
    ),
    "mean": (lambda rows: mean(GUESS[rows]), lambda rows: GUESS[rows].mean()),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_values_are_those_of_the_libraries(name):
    ours, theirs = STATISTICS[name]
    for rows in (np.arange(300), RNG.integers(0, 300, 80)):
        assert ours(rows).value == pytest.approx(theirs(rows))


@pytest.mark.parametrize("name", STATISTICS)
def test_influence_is_what_one_more_row_changes_in_n_ths(name):
    ours, theirs = STATISTICS[name]
    everyone = np.arange(300)
    found = ours(everyone)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    for row in range(0, 300, 37):
        change = (theirs(np.append(everyone, row)) - found.value) * 301
        assert found.influence[row] == pytest.approx(change, abs=0.08)


@pytest.mark.parametrize("name", STATISTICS)
def test_the_variance_over_groups_is_that_of_a_bootstrap_over_groups(name):
    ours, theirs = STATISTICS[name]
    rows = [np.repeat(np.arange(300), w.astype(int)) for w in row_weights(GROUPS, 600, 1)]
    drawn = np.var([theirs(one) for one in rows])
    variance = group_variance(ours(np.arange(300)).influence, GROUPS)
    assert variance == pytest.approx(drawn, rel=0.2)


def test_an_interval_is_wider_when_rows_come_in_groups():
    hits = np.repeat(RNG.integers(0, 2, 50), 8).astype(float)
    alone, grouped = (
        mean(hits, "share").interval(groups) for groups in (np.arange(400), np.arange(400) // 8)
    )
    widths = [high - low for low, high in (alone, grouped)]
    assert widths[1] / widths[0] == pytest.approx(8**0.5, rel=0.1)
    assert widths[1] == pytest.approx(2 * 2.01 * hits.std() / 50**0.5, rel=0.06)


def test_intervals_of_correlations_hold_the_truth_about_as_often_as_they_say():
    """Of Spearman's correlation of 30 pairs of normal numbers that correlate by 0.7: 0.6829."""
    held = 0
    for seed in range(300):
        x, noise = np.random.default_rng(seed).normal(size=(2, 30))
        low, high = spearman(x, 0.7 * x + 0.51**0.5 * noise).interval(np.arange(30))
        held += low <= 0.6829 <= high
    assert 0.91 <= held / 300 <= 0.98


def test_a_value_that_cannot_be_computed_is_null_and_nothing_is_no_error():
    for found in (
        area_under_curve(np.ones(4), np.arange(4.0)),
        spearman(np.ones(4), np.arange(4.0)),
        explained_variance(np.ones(4), np.arange(4.0)),
    ):
        (row,) = estimated({"x": found}, np.arange(4))
        assert (row["value"], row["low"], row["high"], row["n"]) == (None, None, None, 4)
    none = np.empty(0)
    for found in (mean(none), spearman(none, none), explained_variance(none, none)):
        assert np.isnan(found.value) and found.interval(np.empty(0)) == (None, None)


def test_one_group_has_no_interval_and_a_perfect_correlation_its_value():
    assert spearman(GUESS, TARGET).interval(np.zeros(300)) == (None, None)
    assert spearman(GUESS, GUESS).interval(GROUPS) == (1.0, 1.0)
