"""Rows of artifacts taken by their places, and columns by their names."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import DataError, Features, Pairs
from rmplug.data.rows import Memory, ParquetParts
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


def test_a_column_of_files_is_read_without_the_others(tmp_path, monkeypatch) -> None:
    table = pa.table(
        {"id": ["a", "b", "c"], "wide": pa.array([[1.0] * 4] * 3, pa.list_(pa.float64(), 4))}
    )
    files = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for file, part in zip(files, (table.slice(0, 2), table.slice(2)), strict=True):
        pq.write_table(part, file)
    stored = Features(ParquetParts(files, [2, 1]), "states")
    monkeypatch.setattr(ParquetParts, "read", None)
    assert stored["id"].to_pylist() == stored.column("id").to_pylist() == ["a", "b", "c"]
    assert [chunk.to_pylist() for chunk in stored.chunks("id")] == [["a", "b"], ["c"]]
    with pytest.raises(KeyError, match="nothing"):
        stored["nothing"]


def test_a_column_of_rows_in_memory_or_not_yet_made_is_the_same() -> None:
    features = Features({"id": ["a", "b"], "n": [1.0, 2.0]})
    doubled = features.map(double)
    assert features.column("n").to_pylist() == features["n"].to_pylist() == [1.0, 2.0]
    assert doubled.column("n").to_pylist() == doubled["n"].to_pylist() == [2.0, 4.0]
    assert [chunk.to_pylist() for chunk in doubled.chunks("n")] == [[2.0, 4.0]]


def double(batch: pa.RecordBatch) -> dict[str, list[float]]:
    return {"n": [2 * number for number in batch.column("n").to_pylist()]}


def test_lists_of_each_rows_own_length_are_kept_beside_features_and_other_values_refused() -> None:
    found = Features({"id": ["a", "b"], "n": [1, 2], "words": [["x"], []], "r": [[0.5], [1, 2]]})
    assert found.values == ["n"]
    assert found.table["r"].to_pylist() == [[0.5], [1.0, 2.0]]
    with pytest.raises(DataError, match="feature column 'deep' is list<.*>; features are numbers"):
        Features({"id": ["a"], "deep": [[[1.0]]]})
