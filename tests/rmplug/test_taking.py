"""Rows of artifacts, taken by their places."""

from __future__ import annotations

import pyarrow as pa

from rmplug import Features, Pairs
from rmplug.tables import Memory
from rmplug.testing import small_pairs


def test_rows_of_features_with_the_labels_of_a_loops_items_can_be_taken() -> None:
    table = pa.table({"id": ["a", "b", "c"], "item": ["x", "y", "x"], "n": [1.0, 2.0, 3.0]})
    found = Features(Memory(table), "candidates").take([2, 0])
    assert found["id"].to_pylist() == ["c", "a"]
    assert found["item"].to_pylist() == ["x", "x"]
    assert found.values == ["n"]


def test_rows_come_in_the_order_given_and_none_may_be_taken() -> None:
    pairs = small_pairs()
    taken = pairs.take([3, 1])
    assert isinstance(taken, Pairs)
    assert taken["id"].to_pylist() == ["pair-3", "pair-1"]
    assert taken.table.schema == pairs.table.schema
    assert len(pairs.take([])) == 0
