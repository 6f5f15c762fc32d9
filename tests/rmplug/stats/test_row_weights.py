"""Weights and margins of rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rmplug import DataError
from rmplug.stats.row_weights import weights_and_margins


def table(**columns):
    return pa.table({"id": ["a", "b", "c"], **columns})


def test_rows_without_the_columns_count_the_same_and_demand_no_lead():
    weights, margins = weights_and_margins(table())
    assert weights.tolist() == [1, 1, 1]
    assert margins.tolist() == [0, 0, 0]


def test_weights_have_a_mean_of_one_and_what_is_missing_its_default():
    weights, margins = weights_and_margins(table(weight=[3, None, 2], margin=[None, 0.5, 1]))
    assert weights.tolist() == [1.5, 0.5, 1]
    assert margins.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    "wrong",
    [{"weight": [1, -1, 1.0]}, {"weight": [1, float("nan"), 1]}, {"margin": [0, float("inf"), 0]}],
)
def test_what_cannot_be_learnt_from_is_named(wrong):
    with pytest.raises(DataError, match=r"1 rows have a weight below 0 or .* not finite \(b\)"):
        weights_and_margins(table(**wrong))


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(DataError, match="the weights of all rows are 0; give some rows weight"):
        weights_and_margins(table(weight=[0, 0, 0]))


def test_no_rows_have_no_weights():
    assert [len(found) for found in weights_and_margins(table().slice(0, 0))] == [0, 0]
