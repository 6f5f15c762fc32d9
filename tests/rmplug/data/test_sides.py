"""Pairs become responses with all that is said of each side."""

from __future__ import annotations

import pyarrow as pa

from rmplug.data.sides import response_columns, responses_of

PAIRS = pa.table(
    {
        "id": ["a", "b"],
        "group": ["g", "g"],
        "prompt": ["p", "q"],
        "chosen": ["good", "fine"],
        "rejected": ["bad", "poor"],
        "ratings.chosen.help": [4.0, 3.0],
        "ratings.rejected.help": [1.0, 2.0],
        "model.chosen": ["m", "n"],
        "model.rejected": ["o", "p"],
        "subset": ["s", "t"],
    }
)


def test_each_side_is_a_row_with_its_own_values() -> None:
    rows = responses_of(PAIRS).to_pylist()
    assert [row["id"] for row in rows] == ["a/chosen", "a/rejected", "b/chosen", "b/rejected"]
    assert [row["label"] for row in rows] == [1, 0, 1, 0]
    assert [row["response"] for row in rows] == ["good", "bad", "fine", "poor"]
    assert [row["ratings.help"] for row in rows] == [4.0, 1.0, 3.0, 2.0]
    assert [row["model"] for row in rows] == ["m", "o", "n", "p"]
    assert [row["subset"] for row in rows] == ["s", "s", "t", "t"]


def test_the_columns_are_known_before_the_rows() -> None:
    assert response_columns(PAIRS.column_names) == responses_of(PAIRS).column_names
