"""Row-wise work over shards: the same bytes however it is cut up and whoever does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_specs import all_files, assert_valid, go, lines, spec_of, statuses

from rmplug._run.local_engine import Local
from rmplug._run.shards import cut_shards
from rmplug._store.serialize import rechunked, write_part
from rmplug._store.store import Store
from rmplug.data.rows import Mapped, Memory
from rmplug.errors import DataError, StepError

PAIRS = {"kind": "made-pairs", "params": {"rows": 47}}


def spec(**params: Any) -> dict[str, Any]:
    return {"pairs": PAIRS, "words": {"kind": "lengths", "inputs": "pairs", "params": params}}


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    for workers in (1, 2, 3):
        go(spec_of(spec(), workers), tmp_path / f"{workers}")
    assert all_files(tmp_path / "1") == all_files(tmp_path / "2") == all_files(tmp_path / "3")
    assert len([name for name in all_files(tmp_path / "1") if "part-" in name]) == 10


def test_any_shard_size_gives_the_same_table_with_ids_and_groups_in_order(tmp_path: Path) -> None:
    tables = [
        go(spec_of(spec(), shard_rows=size), tmp_path / f"{size}")["words"].table  # type: ignore[attr-defined]
        for size in (1, 10, 47, 100)
    ]
    assert tables[0]["id"].to_pylist() == [f"p{number:07d}" for number in range(47)]
    groups = tables[0]["group"].to_pylist()
    assert groups[0] == groups[1] != groups[2]
    assert all(table.equals(tables[0]) for table in tables)


def test_shards_that_are_there_are_kept_unless_they_were_cut_differently(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    finished = go(spec_of(spec(log=str(log))), store)
    key = finished.path("words").name
    for size, computed in ((10, 1), (20, 3)):
        folder = Store(store).begin(key, {"total": 47, "size": 10, "together": 1})
        for part in finished.path("words").glob("part-*"):
            if part.name != "part-00003.parquet":
                (folder / part.name).write_bytes(part.read_bytes())
        (finished.path("words") / "manifest.json").unlink()
        log.unlink()
        finished = go(spec_of(spec(log=str(log)), shard_rows=size), store)
        assert len(lines(log)) == computed
        assert finished["words"].table.num_rows == 47  # type: ignore[attr-defined]
        assert finished.record.steps["words"].computed == (10 if size == 10 else 47)
        assert_valid(store)


def test_a_shard_that_is_broken_is_computed_again(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    finished = go(spec_of(spec(log=str(log))), store)
    whole = all_files(store)
    folder = Store(store).begin(
        finished.path("words").name, {"total": 47, "size": 10, "together": 1}
    )
    (folder / "part-00000.parquet").write_bytes(b"PAR1 no more")
    (finished.path("words") / "part-00000.parquet").unlink()
    go(spec_of(spec(log=str(log))), store)
    assert all_files(store) == whole


def asked() -> dict[str, Any]:
    return {
        "pairs": PAIRS,
        "model": {"kind": "character-model"},
        "ask": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
    }


@given(st.integers(0, 16_000), st.integers(1, 400), st.booleans())
def test_groups_of_shards_hold_every_row_once_and_depend_on_nothing_else(
    total: int, size: int, wide: bool
) -> None:
    rows = Mapped(Memory(pa.table({"id": pa.nulls(total)})), len, open=dict, wide=wide)
    cuts = {cut_shards(rows, Local(workers=n, shard_rows=size)) for n in (1, 2, 9)}
    [cut] = cuts
    shards = [shard for group in cut.groups for shard in cut.shards_of(group)]
    assert shards == [*cut.shards] == [*range(max(1, -(-total // min(size, 256))))]
    assert sum(map(cut.rows, shards)) == total
    assert cut.together == (1 if wide else max(1, min(8, len(shards) // 8)))


class Many(Memory):
    """As many rows as there are texts in the world."""

    def __init__(self) -> None:
        super().__init__(pa.table({"id": pa.nulls(0)}))

    def __len__(self) -> int:
        return 10**9


@pytest.mark.parametrize("open", [None, dict])
def test_a_table_of_very_many_rows_has_larger_shards_but_no_more(open: Any) -> None:
    cut = cut_shards(Mapped(Many(), len, open=open), Local())
    assert len(cut.shards) == 16_384 and cut.size == 61_036 and cut.together == 1
    wide = cut_shards(Mapped(Many(), len, open=dict, wide=True), Local())
    assert wide.size == 256  # each row may be megabytes


@pytest.mark.parametrize("lost", [{4}, {3, 4, 5}, {0, 23}])
def test_after_a_kill_a_group_of_shards_is_computed_as_a_whole(
    tmp_path: Path, lost: set[int]
) -> None:
    first = go(spec_of(asked(), shard_rows=2), tmp_path)
    whole, key = all_files(tmp_path), first.path("ask").name
    folder = Store(tmp_path).begin(key, {"total": 47, "size": 2, "together": 3})
    for number, part in enumerate(sorted(first.path("ask").glob("part-*"))):
        if number not in lost:
            (folder / part.name).write_bytes(part.read_bytes())
    (first.path("ask") / "manifest.json").unlink()
    again = go(spec_of(asked(), 2, shard_rows=2), tmp_path)
    groups = {shard // 3 for shard in lost}
    assert again.record.steps["ask"].computed == 6 * len(groups) - (7 in groups)
    assert all_files(tmp_path) == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_shards_with_different_columns_or_types_are_named(tmp_path: Path, workers: int) -> None:
    told = {
        "columns": "'x' is double and missing; 'y' is missing and double",
        "types": "'x' is double and fixed_size_list<",
    }
    for how, what in told.items():
        fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": how}}
        with pytest.raises(StepError, match="row-wise work must give the same for every") as e:
            go(spec_of({"pairs": PAIRS, "fussy": fussy}, workers), tmp_path / how)
        assert workers > 1 or what in str(e.value)
        assert "it gave different columns or types for different rows" in str(e.value)


def test_a_function_that_gives_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    fussy = {"kind": "fussy", "inputs": "pairs", "params": {"how": "rows"}}
    with pytest.raises(StepError, match="a row-wise function gave 1 rows for 10"):
        go(spec_of({"pairs": PAIRS, "fussy": fussy}), tmp_path)


def test_a_table_without_rows_goes_through(tmp_path: Path) -> None:
    empty = {"kind": "made-pairs", "params": {"rows": 0}}
    finished = go(spec_of({**spec(), "pairs": empty}), tmp_path)
    assert finished["words"].table.column_names == ["id", "group", "chosen", "rejected"]  # type: ignore[attr-defined]
    assert (finished.record.steps["words"].rows, statuses(finished)["words"]) == (0, "done")


def test_batches_of_a_stream_are_cut_into_parts_of_equal_size() -> None:
    tables = [pa.table({"x": list(range(n))}) for n in (0, 3, 5, 0, 25, 1)]
    cut = list(rechunked(tables, 4))
    assert [table.num_rows for table in cut] == [4] * 8 + [2]
    assert pa.concat_tables(cut)["x"].to_pylist() == [x for t in tables for x in t["x"].to_pylist()]
    assert [table.num_rows for table in rechunked(tables[:1], 4)] == [0]
    with pytest.raises(DataError, match="a stream of rows gave no batch"):
        list(rechunked([], 4))


def test_batches_of_a_stream_with_different_columns_are_named() -> None:
    first = pa.table({"x": [1], "y": ["a"]})
    with pytest.raises(DataError, match="have different columns: x, y and x, z"):
        list(rechunked([first, pa.table({"x": [1], "z": ["a"]})], 4))
    with pytest.raises(DataError, match="column 'y' is string in the first and struct<.*later"):
        list(rechunked([first, pa.table({"x": [1], "y": [{"a": 1}]})], 4))
    swapped = pa.table({"y": ["b"], "x": [2]})
    assert pa.concat_tables(rechunked([first, swapped], 4))["y"].to_pylist() == ["a", "b"]


def test_a_shard_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_part(pa.table({"x": [1]}), tmp_path / "none" / "part")
    write_part(pa.table({"x": [1]}), tmp_path / "part")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
