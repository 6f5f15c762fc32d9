"""The rows of each subset."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rmplug.data.subsets import subset_rows


def rows(*subsets: str | None) -> dict[str, list[int]]:
    table = pa.table({"subset": pa.array(subsets, pa.string())})
    return {name: found.tolist() for name, found in subset_rows(table).items()}


def test_subsets_come_in_the_order_in_which_they_first_occur():
    found = rows("code", "math", "code", None, "", "chat")
    assert found == {"code": [0, 2], "math": [1], "chat": [5]}
    assert list(found) == ["code", "math", "chat"]


def test_names_that_differ_in_a_nul_at_their_end_are_different_subsets():
    assert rows("a", "a\0", "a\0\0", "a\0") == {"a": [0], "a\0": [1, 3], "a\0\0": [2]}


@pytest.mark.parametrize("column", [pa.array([], pa.string()), pa.nulls(3)])
def test_rows_without_names_are_in_no_subset(column: pa.Array):
    assert subset_rows(pa.table({"subset": column})) == {}


def test_without_the_column_there_are_no_subsets():
    assert subset_rows(pa.table({"id": ["a"]})) == {}


def test_numbers_and_dictionaries_are_names_too():
    numbers = pa.table({"subset": [3, 1, 3]})
    assert {name: found.tolist() for name, found in subset_rows(numbers).items()} == {
        "3": [0, 2],
        "1": [1],
    }
    coded = pa.table({"subset": pa.array(["b", "a", "b"]).dictionary_encode()})
    assert list(subset_rows(coded)) == ["b", "a"]
