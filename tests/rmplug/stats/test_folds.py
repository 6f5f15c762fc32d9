"""Folds that keep groups whole."""

from __future__ import annotations

import numpy as np

from rmplug.stats.folds import deal_folds

SIZES = np.tile([1, 3], 20)
GROUPS = np.repeat(np.arange(40), SIZES)
LABELS = np.repeat(np.tile([0, 1], 20), SIZES)


def test_folds_keep_groups_whole_and_spread_sizes_and_levels():
    fold = deal_folds(GROUPS, 5, 3, LABELS)
    assert all(len(set(fold[group == GROUPS])) == 1 for group in range(40))
    assert np.bincount(fold).tolist() == [16] * 5
    assert np.bincount(fold, weights=LABELS).tolist() == [12] * 5


def test_without_levels_the_largest_groups_are_dealt_first():
    fold = deal_folds(GROUPS, 5, 3)
    assert np.bincount(fold).tolist() == [16] * 5
    large = deal_folds(np.array([0, 0, 0, 1, 1, 1, 2, 3]), 2, 0)
    assert large[0] != large[3] and large[6] != large[7]


def test_chance_decides_between_like_groups_by_the_seed():
    assert np.array_equal(deal_folds(GROUPS, 5, 4), deal_folds(GROUPS, 5, 4))
    assert not np.array_equal(deal_folds(GROUPS, 5, 3), deal_folds(GROUPS, 5, 4))
