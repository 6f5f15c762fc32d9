"""One reader for every file of rows: what it promises authors of loaders."""

from __future__ import annotations

import gzip
import json
import os
import socket
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import DataError
from rmplug.data import files
from rmplug.data.raw_texts import BadRow, text_from
from rmplug.data.row_files import (
    FurtherColumns,
    Row,
    RowFiles,
    data_files,
    json_object,
    need,
    number,
    read_rows,
    read_tables,
)
from rmplug.notices import collect_notices, notice


def score_of(row):
    return number(need(row.value, "score"), "score")


def test_usable_rows_come_as_they_are_read_and_all_faults_are_told_at_the_end(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"score": 1}\n{"score": "x"}\nnonsense\n\n{"score": "2"}\n')
    scores = []
    with pytest.raises(DataError) as error:
        scores.extend(score for _, score in RowFiles([file]).convert(score_of, "name it"))
    assert scores == [1, 2]
    assert str(error.value) == (
        '2 rows cannot be used: line 2 of a.jsonl: score is not a number (but "x"); line 3 of '
        "a.jsonl: not valid "
        "JSON (Expecting value at column 1); set bad_rows: drop to leave such rows out"
    )


def test_dropped_rows_are_counted_by_reason_and_location(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"score": 1}\n{"score": "x"}\n{"score": []}\n')
    with collect_notices() as notices:
        rows = list(RowFiles([file], bad_rows="drop").convert(score_of, "name it"))
    [(row, _)] = rows
    assert (row.number, row.line, row.location) == (1, 1, "line 1 of a.jsonl")
    [told] = notices.values()
    assert (told.what, told.ids) == (
        "unusable row: score is not a number",
        ["line 2 of a.jsonl", "line 3 of a.jsonl"],
    )


def test_a_row_that_stands_on_no_line_is_told_by_its_number(tmp_path):
    pq.write_table(pa.table({"score": ["1", "x"]}), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text('{"score": {"0": "1",\n\n"1": "x"}}')
    for file in ("a.parquet", "a.json"):
        with pytest.raises(DataError, match=f"cannot be used: row 2 of {file}: score is not a nu"):
            list(RowFiles([tmp_path / file]).convert(score_of, "name it"))
    assert [row.line for row in read_rows(data_files([tmp_path / "a.parquet"]))] == [None, None]


def test_a_row_has_the_same_line_and_number_in_every_format(tmp_path):
    values = [{"a": "1"}, {"a": "2"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(v) + "\n" for v in values))
    (tmp_path / "x.json").write_text(
        json.dumps(values[:1])[:-1] + ",\n" + json.dumps(values[1:])[1:]
    )
    (tmp_path / "x.csv").write_bytes(gzip.compress(b"a\n1\n2\n"))
    found = {
        file.name: [(row.line, row.number, row.value) for row in read_rows([file])]
        for file in data_files(sorted(tmp_path.iterdir()))
    }
    assert found["x.jsonl"] == found["x.json"] == [(1, 1, {"a": "1"}), (2, 2, {"a": "2"})]
    assert found["x.csv"] == [(2, 1, {"a": "1"}), (3, 2, {"a": "2"})]


def test_what_a_converter_notices_counts_once_though_rows_are_read_twice(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "p"}\n{"prompt": "q"}\n')

    def convert(row: Row):
        notice("looked at", [row.location])
        return [({"id": row.default_id, "prompt": row.value["prompt"]}, {})]

    with collect_notices() as notices:
        [table] = read_tables(RowFiles([file]), convert, ("prompt",), "name it")
    assert table["id"].to_pylist() == ["a.jsonl:1", "a.jsonl:2"]
    assert [(entry.what, entry.count) for entry in notices.values()] == [("looked at", 2)]


def test_lists_of_texts_stay_lists_only_on_request():
    values = [["a", "b"], None]
    kept, written = FurtherColumns(lists=True), FurtherColumns()
    for columns in (kept, written):
        for value in values:
            columns.learn({"tags": value, "mixed": value or 1}, typed=True)
    assert kept.array("tags", values).to_pylist() == values
    assert kept.array("mixed", [["a"], 1]).to_pylist() == ['["a"]', "1"]
    assert written.array("tags", values).to_pylist() == ['["a", "b"]', None]


def test_halves_of_surrogate_pairs_are_replaced_wherever_json_is_read(tmp_path):
    lone = '{"content": "\\ud800!", "role": "user"}'
    assert json_object(lone) == {"content": "\ufffd!", "role": "user"}
    assert text_from(f"[{lone}]", "prompt", "messages") == [{"role": "user", "content": "\ufffd!"}]
    with pytest.raises(BadRow, match=r"not a JSON object \(but an array\)"):
        json_object("[1]")


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, kind):
    path = tmp_path / "rows.jsonl"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.relpath(path))
        server.close()
    with pytest.raises(DataError) as error:
        data_files([path])
    told = {"FIFO": "a named pipe (FIFO)", "socket": "a socket", "device": "a device"}[kind]
    assert str(error.value) == (
        f"{path} is {told}, which can be read only once if at all; save what it gives as a file, "
        "and name that"
    )


def test_tildes_and_variables_are_ordinary_characters_of_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("~", "$HOME"):
        Path(name).write_text('{"a": 1}\n')
        assert [row.value for row in read_rows(data_files([Path(name)]), "jsonl")] == [{"a": 1}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_a_file_that_unpacks_to_far_more_than_data_do_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(files, "MOST_UNPACKED", 1_000_000)
    bomb = gzip.compress(b'[{"a": "' if name != "a.csv" else b"a\n") + gzip.compress(bytes(10**7))
    (tmp_path / name).write_bytes(bomb)
    with pytest.raises(DataError, match=r"unpacks to more than [\d,]+ bytes, over 300 times its s"):
        list(read_rows(data_files([tmp_path / name])))


def test_rows_that_repeat_each_other_are_unpacked_and_read(tmp_path):
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"a": "the same text again"}\n' * 50_000, 9))
    assert sum(1 for _ in read_rows(data_files([file]))) == 50_000


def test_a_file_of_more_columns_than_anyone_needs_is_refused(tmp_path):
    names = [f"c{number}" for number in range(300_000)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join(names) + "\n")
    with pytest.raises(DataError, match=r"a\.csv has 300,000 columns, more than 10,000; keep tho"):
        list(read_rows(data_files([tmp_path / "a.csv"])))
