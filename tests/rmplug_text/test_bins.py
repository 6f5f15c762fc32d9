"""Numbers cut into bins by edges or by counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from rmplug import DataError, Features, Known
from rmplug_text.features import Bins


def features(*values):
    ids = [str(place) for place in range(len(values))]
    return Features({"id": ids, "group": ids, "x": list(values), "y": [0.0] * len(values)}, "f")


def given(step, *values):
    return step.compute(features(*values)).table["x"].to_pylist()


def test_bins_are_half_open_and_the_last_is_closed():
    assert given(Bins(only=("x",), edges=(0, 1, 2)), 0, 0.5, 1, 1.5, 2) == [0, 0, 1, 1, 1]


def test_values_outside_the_edges_or_missing_have_no_bin():
    assert all(map(math.isnan, given(Bins(edges=(0, 1)), -0.1, 1.1, None)))


def test_bins_of_equal_counts_are_cut_over_the_whole_table():
    assert given(Bins(count=2), 5, 1, 100, 2) == [1, 0, 1, 0]


def test_one_value_only_is_one_bin():
    assert given(Bins(count=3), 7, 7) == [0, 0]


def test_only_the_named_columns_are_cut():
    assert Bins(only=("x",), count=2).compute(features(1, 2)).values == ["x"]


def test_a_column_that_is_known_not_to_be_there_is_told_before_running():
    known = {
        "features": [
            Known((Features,), ("first", "last"), step="words"),
            Known((Features,), step="other"),
        ]
    }
    told = list(Bins(only=("first", "lst"), count=2).mistakes(known))
    assert told == [
        ("only", "words gives no column 'lst'; did you mean 'last'? (it gives first, last)")
    ]


def test_vectors_cannot_be_cut():
    vectors = Features({"id": ["a"], "v": np.zeros((1, 2))}, "f")
    with pytest.raises(DataError, match="column 'v' holds vectors; only plain numbers are cut"):
        _ = Bins(count=2).compute(vectors).table


@pytest.mark.parametrize("wrong", [{}, {"edges": (0, 1), "count": 2}])
def test_either_edges_or_a_count_is_needed(wrong):
    with pytest.raises(ValidationError, match="give edges or count, one of the two"):
        Bins(**wrong)


def test_edges_must_ascend():
    with pytest.raises(ValidationError, match="edges must ascend, each above the one before"):
        Bins(edges=(0, 2, 1))
