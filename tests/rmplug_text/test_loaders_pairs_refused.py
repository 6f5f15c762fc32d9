"""Preference pairs from files that are broken, made up and published: what is refused how."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from pair_files import GOOD, lines, load, refusal, write

from rmplug import Pairs
from rmplug.data.odd_rows import OddRows, OddRowsFilter
from rmplug.notices import collect_notices

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"prompt": "p"', "not valid JSON (Expecting ',' delimiter at column 15)"),
        (b'{"prompt": "\xff"}', "not valid UTF-8 (at byte 13)"),
        (b'{"prompt": "a\x00b"}', "not valid JSON (Invalid control character at at column 14)"),
        (b"[1, 2]", "not a JSON object (but an array)"),
        (b"true", "not a JSON object (but true)"),
        (b"[" * 100_000, "not valid JSON (nested more than 100 deep)"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "not valid JSON (nested more than 100 deep)"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON (a number with too many digits)"),
        (b'{"prompt": "p", "chosen": "c"}', "no 'rejected'"),
        (b'{"prompt": "p", "chosen": true, "rejected": "r"}', "chosen is not text (but true)"),
        (b'{"prompt": "p", "chosen": "c", "rejected": 5}', "rejected is not text (but 5)"),
        (b'{"prompt": null, "chosen": "c", "rejected": "r"}', "prompt is not text (but null)"),
        (b'{"prompt": "p", "chosen": [], "rejected": "r"}', "chosen has no messages"),
        (
            b'{"prompt": "p", "chosen": ["c"], "rejected": "r"}',
            'chosen is not a list of messages (item 1 is "c")',
        ),
        (
            b'{"prompt": "p", "chosen": [{"role": "assistant", "content": null}], "rejected": ""}',
            "a message of chosen has no text (message 1 has null)",
        ),
        (
            b'{"id": null, "prompt": "p", "chosen": "c", "rejected": "r"}',
            "id is neither text nor a whole number (but null)",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_line_and_reason(tmp_path, line, reason):
    path = write(tmp_path, "x.jsonl", lines(GOOD).encode() + line + b"\n" + lines(GOOD).encode())
    assert refusal(path) == (
        f"1 row cannot be used: line 2 of x.jsonl: {reason}; set bad_rows: drop to leave such "
        f"rows out"
    )
    with collect_notices() as notices:
        assert load(path, bad_rows="drop")["id"].to_pylist() == ["x.jsonl:1", "x.jsonl:3"]
    what = f"unusable row: {reason.split(' (')[0]}"
    told = {key: entry.ids for key, entry in notices.items()}
    assert told == {(what, "dropped"): ["line 2 of x.jsonl"]}


def test_of_many_bad_rows_the_first_are_shown_and_all_are_counted(tmp_path):
    path = write(tmp_path, "x.jsonl", lines(GOOD) + "{\n" * 8)
    told = refusal(path)
    assert told.startswith("8 rows cannot be used: line 2 of x.jsonl: not valid JSON (Expecting")
    assert "line 6 of x.jsonl: " in told and "line 7 of x.jsonl: " not in told
    assert told.endswith("and 3 more; set bad_rows: drop to leave such rows out")


def test_when_no_row_is_usable_dropping_does_not_hide_it(tmp_path):
    path = write(tmp_path, "x.jsonl", '{"prompt": "p", "chosen": 1, "rejected": "r"}\n{\n')
    assert refusal(path, bad_rows="drop") == (
        "none of the 2 rows can be used: line 1 of x.jsonl: chosen is not text (but 1); line "
        "2 of x.jsonl: not "
        "valid JSON (Expecting property name enclosed in double quotes at column 2)"
    )


def test_a_missing_column_names_those_found_and_the_closest(tmp_path):
    row = {"question": "p", "choosen": "c", "rejected": "r", "meta": {"x": 1}}
    path = write(tmp_path, "x.jsonl", lines(row, row))
    assert refusal(path, fields={"prompt": "question"}, bad_rows="drop") == (
        "no row has 'chosen'; did you mean 'choosen'?; found: question, choosen, rejected, meta.x; "
        "say where it stands with fields: {chosen: NAME, ...}"
    )
    assert refusal(path, fields={"chosen": "choosen"}).startswith("no row has 'prompt'; found: qu")


def test_a_missing_column_of_a_long_file_is_told_without_reading_all_of_it(tmp_path):
    path = write(tmp_path, "x.jsonl", lines({"a": 1}) * 1000 + "{broken\n" * 1000)
    assert refusal(path).startswith("no row has 'chosen'; found: a;")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p,c\n", "line 3 of x.csv: wrong number of fields (2 instead of 3)"),
        ("p,c,r,s\n", "line 3 of x.csv: wrong number of fields (4 instead of 3)"),
        ('p,"c"x,r\n', "line 3 of x.csv: not valid CSV (',' expected after '\"')"),
        ('p,"c\nd\n', "line 3 of x.csv: not valid CSV (unexpected end of data)"),
        (
            b"p,\xff,r\n",
            "line 3 of x.csv: not valid UTF-8 (say encoding: cp1252 if Windows wrote it)",
        ),
    ],
)
def test_broken_csv_rows_are_named(tmp_path, text, reason):
    tail = text if isinstance(text, bytes) else text.encode()
    path = write(tmp_path, "x.csv", b"prompt,chosen,rejected\np,c,r\n" + tail)
    assert refusal(path) == (
        f"1 row cannot be used: {reason}; set bad_rows: drop to leave such rows out"
    )
    assert load(path, bad_rows="drop").num_rows == 1


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("x.jsonl", b"", "is empty; give a file with at least one row"),
        ("x.json", b"  \n", "is empty; give a file with at least one row"),
        ("x.jsonl.gz", b"", "x.jsonl.gz: there are no rows"),
        ("x.csv", b"prompt,chosen,rejected\n", "x.csv: there are no rows"),
        ("x.json", b"[]", "x.json: there are no rows"),
        ("x.json", b"12", "is not JSON: it must begin with [ or {"),
        ("x.json", b'{"prompt": ["p"], "chosen": []}', "differ in length: prompt 1, chosen 0"),
        ("x.dat", b"prompt", "cannot tell what"),
        ("x.csv", b"a,b,a\n1,2,3\n", "has two columns named 'a'; rename one"),
        ("x.csv", b"a,\xff\n1,2\n", "line 1 of x.csv: the header is not valid UTF-8"),
        ("x.jsonl", b"PK\x03\x04....", "is a zip archive; unpack it first"),
        ("x.jsonl", "\ufeffa".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("x.parquet", b"PAR1 nonsense", "is not valid Parquet: "),
        (
            "x.jsonl",
            gzip.compress(b"{}" * 9999, mtime=0)[:-12],
            "cut off in the middle of its gzip",
        ),
        ("x.jsonl", b"\x1f\x8b\x08\x00" + b"\x07" * 40, "is not valid gzip ("),
        (
            "x.json",
            b'[\n{"prompt": "p",\n "chosen": 5},\n{"prompt" "p"}]',
            "line 4 of x.json: not valid JSON (Expecting ':' delimiter); an array of rows "
            "cannot be",
        ),
        ("x.json", b'[{"a": 1}', "line 1 of x.json: not valid JSON (the array is not closed)"),
        (
            "x.json",
            b'[{"a": 1}]\n{"b": 2}',
            "line 2 of x.json: not valid JSON (text after the closing br",
        ),
        (
            "x.json",
            b'[{"a": "\xff"}]',
            "line 1 of x.json: not valid UTF-8 at or after this line; save",
        ),
    ],
)
def test_a_broken_file_is_one_clear_sentence(tmp_path, name, data, told):
    message = refusal(write(tmp_path, name, data))
    assert told in message
    assert "\n" not in message


def test_a_folder_or_a_missing_file_says_what_to_name(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is a folder; name the files in it, such as " + str(
        tmp_path / "*.jsonl"
    )
    assert refusal(tmp_path / "none.jsonl") == f"there is no file {tmp_path / 'none.jsonl'}"
    assert refusal(tmp_path / "*.jsonl") == f"no file matches {tmp_path / '*.jsonl'}"


def published(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


@pytest.mark.parametrize(
    ("name", "rows"), [("hh_rlhf", 2744), ("robustness", 214), ("zh_en_demo", 347), ("mini", 195)]
)
def test_every_row_of_published_sets_is_read_as_it_stands(name, rows):
    path = published(f"{name}/pairs.jsonl.gz")
    table = load(path, fields={"group": "meta.group"})
    raw = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert table.num_rows == rows == len(raw)
    assert table["group"].to_pylist() == [row["meta"]["group"] for row in raw]
    for found, row in zip(table.to_pylist(), raw, strict=True):
        for side in ("prompt", "chosen", "rejected"):
            texts = [turn["content"] for turn in found[side]]
            given = row[side]
            assert texts == ([given] if isinstance(given, str) else [t["content"] for t in given])
    assert OddRowsFilter(OddRows(), Pairs.required[1:])(table).num_rows == rows


def test_the_broken_korean_file_is_told_line_by_line():
    path = published("messy/ko_lines.txt.gz")
    told = refusal(path)
    assert told.startswith("365 rows cannot be used: line 1 of ko_lines.txt.gz: not valid JSON (")
    with collect_notices() as notices:
        table = load(path, bad_rows="drop")
    assert table.num_rows == 3
    assert {what: entry.count for (what, _), entry in notices.items()} == {
        "unusable row: not valid JSON": 296,
        "unusable row: no 'rejected'": 68,
        "unusable row: chosen and rejected begin differently": 1,
    }


def test_responses_that_are_booleans_are_named():
    fields = {"prompt": "instruction", "chosen": "response1", "rejected": "response2"}
    told = refusal(published("messy/pandalm_bool.jsonl.gz"), fields=fields)
    assert told.startswith(
        "6 rows cannot be used: line 1 of pandalm_bool.jsonl.gz: chosen is not text (but true); "
    )
    assert "line 4 of pandalm_bool.jsonl.gz: rejected is not text (but true)" in told


def test_an_id_counts_rows_and_a_message_names_the_line(tmp_path):
    rows = 'prompt,chosen,rejected\n"one\nmore",a,b\n\ntwo,c,d\n'
    assert load(write(tmp_path, "x.csv", rows))["id"].to_pylist() == ["x.csv:1", "x.csv:2"]
    assert "line 6 of x.csv: wrong number of fields" in refusal(
        write(tmp_path, "x.csv", rows + "z\n")
    )
