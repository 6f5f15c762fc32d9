"""Any bytes give valid rows or one clear sentence, and what is written is read back."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmplug import DataError
from rmplug_text.loaders import ABFile, PairsFile, ResponsesFile
from rmplug_text.recorded import Recorded

LOADERS = (
    lambda path, **more: PairsFile(path=path, **more).load().table,
    lambda path, **more: ResponsesFile(path=path, **more).load().table,
    lambda path, **more: ABFile(path=path, **more).load().table,
)
ENDINGS = ("x.jsonl", "x.json", "x.csv", "x.tsv", "x.parquet", "x.jsonl.gz", "x.txt")
relaxed = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = rb"""{ } [ ] " , : \ \u \ud800 prompt "prompt": "chosen": "rejected": "response": "text"
null true 1e999 - NaN {"id":1} {"prompt":"p","chosen":"c","rejected":"r"} p,c,r PAR1""".split()
tokens = st.sampled_from(
    [
        *PIECES,
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x1f\x8b",
        b"prompt,chosen,rejected\n",
    ]
)
bytes_like_files = st.one_of(st.binary(max_size=200), st.lists(tokens, max_size=25).map(b"".join))


@given(bytes_like_files, st.sampled_from(ENDINGS), st.sampled_from(["error", "drop"]))
@relaxed
def test_any_bytes_are_rows_or_one_sentence(data, name, bad_rows):
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        for load in LOADERS:
            try:
                table = load(path, bad_rows=bad_rows)
            except DataError as error:
                assert str(error).strip() and "\n" not in str(error)
            else:
                table.validate(full=True)
                assert {"id", "group", "prompt"} <= set(table.column_names)
                assert table["id"].null_count == table["group"].null_count == 0
        try:
            Recorded(path=path, bad_rows=bad_rows).load()
        except DataError as error:
            assert "\n" not in str(error)


texts = st.text(max_size=30)
rows_of_text = st.lists(
    st.fixed_dictionaries({"prompt": texts, "chosen": texts, "rejected": texts, "note": texts}),
    min_size=1,
    max_size=6,
)


def written(rows, format):
    stream = io.StringIO(newline="")
    if format in ("csv", "tsv"):
        delimiter = "," if format == "csv" else "\t"
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    elif format == "columns":
        json.dump({name: [row[name] for row in rows] for name in rows[0]}, stream)
    elif format == "json":
        json.dump(rows, stream, ensure_ascii=False)
    else:
        stream.writelines(json.dumps(row, ensure_ascii=len(rows) % 2 == 0) + "\n" for row in rows)
    return stream.getvalue().encode()


def as_parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["jsonl", "json", "columns", "csv", "tsv", "parquet"])
@given(rows=rows_of_text, packed=st.booleans())
@settings(parent=relaxed, max_examples=40)
def test_every_row_that_is_written_is_read_back(format, rows, packed):
    data = as_parquet(rows) if format == "parquet" else written(rows, format)
    ending = "json" if format == "columns" else format
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{ending}"
        path.write_bytes(gzip.compress(data) if packed else data)
        found = LOADERS[0](path, form="text").to_pylist()
    for side in ("prompt", "chosen", "rejected"):
        assert [row[side][0]["content"] for row in found] == [row[side] for row in rows]
    if format not in ("csv", "tsv"):
        assert [row["note"] for row in found] == [row["note"] for row in rows]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(texts, values, max_size=4), min_size=1, max_size=5))
@relaxed
def test_any_further_columns_are_kept_in_one_schema(further):
    core = {"prompt": "p", "chosen": "c", "rejected": "r"}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_text("".join(json.dumps({**row, **core}) + "\n" for row in further), "utf-8")
        try:
            table = LOADERS[0](path)
        except DataError as error:
            assert " is neither text nor a whole number " in str(error)
            return
    table.validate(full=True)
    assert table.num_rows == len(further)
