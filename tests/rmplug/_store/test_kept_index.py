"""Files of kept values: found by their keys, put together, never wrong where they are damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug._store import kept_index
from rmplug._store.kept import KeptView, publish, read_snapshot
from rmplug._store.kept_files import FACTS, Facts, KeptFile, rows_table, schema_of, write_values
from rmplug._store.kept_index import KeptIndex, open_files, pack_keys, paths_in, sources_of
from rmplug._store.kept_merging import MOST_FILES, combine, merge_small
from rmplug.arrays import Array
from rmplug.models.kept import MOST_NUMBERS, kept_rows
from rmplug.notices import collect_notices
from rmplug.records import Usage


def keys_of(*numbers: int) -> Array:
    return pack_keys([str(number).encode() for number in numbers])


def write(folder: Path, source: str, numbers: range, add: float = 0.0) -> None:
    """Write the values (n + add, -n) of some keys, as a source gave them."""
    values = np.array([[number + add, -number] for number in numbers], np.float32)
    facts = Facts((source,), (2,), "float32")
    table = rows_table(facts, keys_of(*numbers), np.zeros(len(numbers)), values)
    write_values(folder / f"{source}.{numbers.start}.parquet", facts, [table])


def test_values_are_found_by_their_keys_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "one-1", range(1000))
    write(tmp_path, "two-2", range(1000, 1010))
    known, values = KeptIndex(tmp_path, {"one-1", "two-2"}).find(keys_of(1003, 7, 5000, 999, 7))
    assert known.tolist() == [True, True, False, True, True]
    assert values[:, 0].tolist() == [1003, 7, 999, 7] and values.dtype == np.float32
    assert KeptIndex(tmp_path / "absent", {"one-1"}).find(keys_of(1))[0].tolist() == [False]


def test_only_visible_sources_are_found_and_the_first_by_name_counts(tmp_path: Path) -> None:
    write(tmp_path, "b-1", range(5), add=0.5)
    write(tmp_path, "a-2", range(3, 8), add=0.25)
    for visible, found in [
        ({"b-1"}, [0.5, 1.5, 2.5, 3.5, 4.5]),
        ({"a-2"}, [3.25, 4.25, 5.25, 6.25, 7.25]),
        ({"a-2", "b-1"}, [0.5, 1.5, 2.5, 3.25, 4.25, 5.25, 6.25, 7.25]),
        ({"c-3"}, []),
    ]:
        known, values = KeptIndex(tmp_path, visible).find(keys_of(*range(9)))
        assert values.reshape(-1, 2)[:, 0].tolist() == found and known.sum() == len(found)


def test_many_files_become_few_and_keep_every_row_with_its_source(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path, f"s-{number}", range(10 * number, 10 * number + 10))
        merge_small(tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) <= MOST_FILES
    assert set(sources_of(tmp_path)) == {f"s-{number}" for number in range(60)}
    known, values = KeptIndex(tmp_path, set(sources_of(tmp_path))).find(keys_of(*range(600)))
    assert known.all() and values[:, 0].tolist() == list(range(600))
    assert KeptIndex(tmp_path, {"s-7"}).find(keys_of(*range(600)))[0].nonzero()[0].tolist() == [
        *range(70, 80)
    ]
    again = paths_in(tmp_path)
    combine([*again, *again], tmp_path, "merged")  # as if a merge had been cut short
    assert max(len(file) for file in open_files(tmp_path)) == 600


def test_a_folder_whose_files_are_put_together_meanwhile_is_listed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_FILES + 1):
        write(tmp_path, f"s-{number:02d}", range(10 * number, 10 * number + 10))
    opened: list[str] = []

    def open_late(path: Path) -> KeptFile:
        opened.append(path.name)
        if len(opened) == 4:
            monkeypatch.setattr(kept_index, "KeptFile", KeptFile)
            merge_small(tmp_path)
            monkeypatch.setattr(kept_index, "KeptFile", open_late)
        return KeptFile(path)

    monkeypatch.setattr(kept_index, "KeptFile", open_late)
    every = {f"s-{number:02d}" for number in range(MOST_FILES + 1)}
    known, values = KeptIndex(tmp_path, every).find(keys_of(*range(10 * len(every))))
    assert known.all() and values[:, 0].tolist() == list(range(10 * len(every)))


def test_a_damaged_byte_never_gives_a_wrong_number(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    for source in ("a-1", "b-2"):
        write(tmp_path / "whole", source, range(20) if source == "a-1" else range(20, 40))
    combine(paths_in(tmp_path / "whole"), tmp_path / "whole", "merged")
    [merged] = (tmp_path / "whole").glob("merged*")
    whole, folder = merged.read_bytes(), tmp_path / "damaged"
    aside = 0
    for place in range(0, len(whole), 5):
        folder.mkdir(exist_ok=True)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (folder / merged.name).write_bytes(damaged)
        with collect_notices() as notices:
            known, values = KeptIndex(folder, {"a-1", "b-2"}).find(keys_of(*range(40)))
        assert values[:, 0].tolist() == list(range(40)) if known.all() else not known.any()
        aside += bool(notices)
        for path in folder.iterdir():
            assert known.all() == (path.suffix == ".parquet")
            path.unlink()
    assert aside > len(whole) / 5 * 0.7


def varint(number: int) -> bytes:
    """Write a number as a Parquet footer does."""
    number, written = 2 * number, b""
    while number > 127:
        written, number = written + bytes([number & 127 | 128]), number >> 7
    return written + bytes([number])


@pytest.mark.parametrize("rows", [2**34, 2**45, 2**62])
def test_a_file_that_claims_more_rows_than_it_has_bytes_is_set_aside(
    tmp_path: Path, rows: int
) -> None:
    write(tmp_path, "a-1", range(7))
    [path] = paths_in(tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - length], whole[-8 - length : -8]
    aside = 0
    for place in [place for place, byte in enumerate(footer) if byte == varint(7)[0]]:
        claimed = footer[:place] + varint(rows) + footer[place + 1 :]
        path.write_bytes(body + claimed + len(claimed).to_bytes(4, "little") + b"PAR1")
        with collect_notices() as notices:
            known, values = KeptIndex(tmp_path, {"a-1"}).find(keys_of(*range(7)))
        assert values[:, 0].tolist() == list(range(7)) if known.all() else not known.any()
        aside += bool(notices)
    assert aside > 1


@pytest.mark.parametrize(
    "odd", [{"shape": (-1,)}, {"shape": (2.5,)}, {"shape": (2**22,)}, {"sources": (["a-1"],)}]
)
def test_a_file_whose_facts_make_no_sense_is_set_aside(tmp_path: Path, odd: dict[str, Any]) -> None:
    facts = Facts(**{"sources": ("a-1",), "shape": (2,), "type": "float32", **odd})
    schema = schema_of(facts).with_metadata({FACTS: facts.as_bytes()})
    key = pa.array([keys_of(1).tobytes()], pa.binary(16))
    columns = [key, pa.array([0], pa.int32()), pa.nulls(1, schema.field("value").type)]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), tmp_path / "a-1.0.parquet")
    with collect_notices() as notices:
        assert list(sources_of(tmp_path)) == ["a-1"]
        assert not KeptIndex(tmp_path, {"a-1"}).find(keys_of(1))[0].any()
    assert [found.what for found in notices.values()] == [kept_index.DAMAGED]


def test_values_of_another_shape_are_set_aside(tmp_path: Path) -> None:
    write(tmp_path, "a-1", range(3))
    facts = Facts(("b-2",), (), "float64")
    table = rows_table(facts, keys_of(7), np.zeros(1), np.ones(1))
    write_values(tmp_path / "b-2.0.parquet", facts, [table])
    with collect_notices() as notices:
        known, _ = KeptIndex(tmp_path, {"a-1", "b-2"}).find(keys_of(1, 7))
    assert known.tolist() == [True, False]
    [notice] = notices.values()
    assert (notice.of, notice.ids) == ("files", ["b-2.0.parquet"])


def ask(root: Path, source: str, visible: set[str], texts: list[str], values: Array) -> Array:
    """Ask for the values of texts as a step would, and add those that were computed."""
    usage = Usage()
    with KeptView(root, source, frozenset(visible)).in_use(usage) as keeping:
        given = kept_rows(lambda: {"m": 1}, [t.encode() for t in texts], lambda at: values[at])
    keeping.write(root / "made" / source, "step")
    publish(root / "made" / source, root, source)
    ask.usage = usage  # type: ignore[attr-defined]
    return given


def test_equal_keys_are_computed_once_and_known_ones_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    texts = ["a", "b", "a", "c"]
    first = ask(tmp_path, "one-1", set(), texts, np.arange(4.0))
    assert first.tolist() == [0, 1, 0, 3]
    assert (ask.usage.texts_known, ask.usage.texts_computed) == (0, 3)  # type: ignore[attr-defined]
    second = ask(tmp_path, "two-2", {"one-1"}, ["d", "c", "b", "d"], np.full(4, 9.0))
    assert second.tolist() == [9, 3, 1, 9]
    assert (ask.usage.texts_known, ask.usage.texts_computed) == (2, 1)  # type: ignore[attr-defined]


def test_what_is_not_finite_or_too_wide_is_computed_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    odd = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert np.array_equal(ask(tmp_path, "one-1", set(), ["a", "b"], odd), odd, equal_nan=True)
    ask(tmp_path, "two-2", {"one-1"}, ["a", "b"], odd)
    assert (ask.usage.texts_known, ask.usage.texts_computed) == (1, 1)  # type: ignore[attr-defined]
    wide = np.ones((2, MOST_NUMBERS + 1))
    other = tmp_path / "other"
    (other / "made").mkdir(parents=True)
    assert ask(other, "one-1", set(), ["a", "b"], wide).shape == wide.shape
    assert not list(other.rglob("*.parquet"))


def test_outside_a_run_all_rows_are_computed() -> None:
    asked: list[int] = []

    def compute(indices: Array) -> Array:
        asked.extend(indices.tolist())
        return indices * 2.0

    def refuse() -> None:
        raise AssertionError("nobody needs the identity")

    assert kept_rows(refuse, [b"a", b"b", b"a"], compute).tolist() == [0, 2, 4]
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("written", [b"[" * 100_000, b"{", b"3", b"\xff"])
def test_a_list_of_sources_that_cannot_be_read_shows_none(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "visible.json").write_bytes(written)
    assert read_snapshot(tmp_path / "visible.json") == frozenset()
