"""Tables in the store are read as rarely as they can be, and in bounded memory."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from run_specs import all_files, go, spec_of
from test_loops import PAIRS, for_each, scaled

from rmplug import Features
from rmplug._run import loop_results, read_tables
from rmplug._run.read_tables import ReadTables
from rmplug._store.serialize import write_part
from rmplug.data.rows import ParquetParts


def spec_of_loop(collected: str) -> Any:
    loop = for_each(scaled(), [collected], values=[1, 2, 10])
    return spec_of({"pairs": PAIRS, "loop": loop})


def tables_in(store: Path) -> dict[str, str]:
    return {path: digest for path, digest in all_files(store).items() if "part-" in path}


def stored(folder: Path, value: float = 1.0, rows: int = 2) -> Features:
    folder.mkdir(exist_ok=True)
    table = pa.table({"id": [f"row-{n}" for n in range(rows)], "score": [value] * rows})
    write_part(table, folder / "part.parquet")
    return Features(ParquetParts([folder / "part.parquet"], [rows]), "features")


def files_of(checksum: str, size: int = 100) -> Mapping[str, Mapping[str, Any]]:
    return {"part.parquet": {"sha256": checksum, "bytes": size}}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each table was read."""
    counted: Counter[str] = Counter()
    pieces = ParquetParts._pieces

    def count(parts: ParquetParts, start: int, stop: int) -> Any:
        counted.update({file.parent.name for file in parts.files})
        return pieces(parts, start, stop)

    monkeypatch.setattr(ParquetParts, "_pieces", count)
    return counted


def test_a_loop_reads_the_input_of_its_items_and_their_results_once(
    tmp_path: Path, reads: Counter[str]
) -> None:
    go(spec_of_loop("mean"), tmp_path)
    assert {name.partition("-")[0] for name in reads} == {"made", "lengths", "mean"}
    assert set(reads.values()) == {1} and len(reads) == 1 + 3 + 3


def test_results_too_large_to_be_kept_are_put_together_to_the_same_bytes(
    tmp_path: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go(spec_of_loop("words"), tmp_path / "kept")
    monkeypatch.setattr(loop_results, "MOST_KEPT", -1)
    monkeypatch.setattr(read_tables, "MOST_STORED", -1)
    reads.clear()
    go(spec_of_loop("words"), tmp_path / "read again")
    assert min(reads.values()) > 1
    assert tables_in(tmp_path / "kept") == tables_in(tmp_path / "read again")


def test_a_table_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    tables = ReadTables()
    assert tables.read(stored(tmp_path, 1.0), files_of("one"))["score"].to_pylist() == [1.0, 1.0]
    anew = stored(tmp_path, 2.0)
    assert tables.read(anew, files_of("one"))["score"].to_pylist() == [1.0, 1.0]
    assert tables.read(anew, files_of("two"))["score"].to_pylist() == [2.0, 2.0]


def test_only_the_tables_read_last_are_kept(
    tmp_path: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_tables, "MOST_TABLES", 2)
    tables = ReadTables()
    for name in ("first", "second", "first", "third", "first", "second"):
        tables.read(stored(tmp_path / name), files_of(name))
    assert reads == {"first": 1, "second": 2, "third": 1}
    monkeypatch.setattr(read_tables, "MOST_KEPT", 10)
    for _ in range(2):
        tables.read(stored(tmp_path / "large"), files_of("large"))
    assert reads["large"] == 2


def test_a_table_that_is_not_small_stays_in_its_files(tmp_path: Path) -> None:
    tables = ReadTables()
    many = stored(tmp_path, rows=8193)
    assert tables.read(many, files_of("many")) is many
    wide = stored(tmp_path)
    assert tables.read(wide, files_of("wide", size=9 * 2**20)) is wide


def test_a_table_that_was_read_goes_to_another_process_as_its_files(tmp_path: Path) -> None:
    read = ReadTables().read(stored(tmp_path), files_of("one"))
    sent = pickle.loads(pickle.dumps(read.rows))
    assert isinstance(sent, ParquetParts)
    assert sent.read(0, 2).equals(read.table)


def test_threads_read_tables_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_tables, "MOST_TABLES", 3)
    tables, names = ReadTables(), [str(n) for n in range(8)]
    each = {name: stored(tmp_path / name, float(name)) for name in names}

    def read(turn: int) -> bool:
        name = names[turn % len(names)]
        found = tables.read(each[name], files_of(name))
        return bool(found.table["score"].to_pylist() == [float(name)] * 2)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(4000)))
    finally:
        sys.setswitchinterval(before)
