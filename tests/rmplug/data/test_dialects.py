"""What separates the fields of a file, and how its text is encoded: found, given, or asked for."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from rmplug.data.row_files import RowFiles, read_rows
from rmplug.errors import DataError
from rmplug.notices import collect_notices

ROWS = [
    ["id", "prompt", "chosen", "rejected"],
    ["1", "Is it, well, blue?", "Yes; it is.", "No | never"],
    ["2", "Grüße\tan alle?", 'She said "hi"', "Nein,\nnein"],
]


def written(
    path: Path, delimiter: str, encoding: str = "utf-8", rows: list[list[str]] = ROWS
) -> Path:

    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def values(source: RowFiles) -> tuple[list[list[str]], list[tuple[str, list[str]]]]:
    """The rows of files, and what was noticed of them."""
    with collect_notices() as noticed:
        rows = [list(value.values()) for _, value in source.convert(lambda row: row.value, "")]
    return rows, [(entry.what, entry.ids) for entry in noticed.values()]


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding", "found"),
    [
        ("x.csv", ",", "utf-8", []),
        ("x.csv", ",", "utf-8-sig", []),
        ("x.tsv", "\t", "utf-8", []),
        ("x.csv", ";", "utf-8", ["fields are separated by semicolons"]),
        ("x.csv", "\t", "utf-8", ["fields are separated by tabs"]),
        ("x.csv", "|", "utf-8-sig", ["fields are separated by vertical bars"]),
        ("x.tsv", ",", "utf-8", ["fields are separated by commas"]),
        ("x.csv", ",", "utf-16", ["text is UTF-16"]),
        ("x.csv", ";", "utf-16", ["text is UTF-16", "fields are separated by semicolons"]),
    ],
)
def test_the_form_of_a_file_is_found_and_noticed(
    tmp_path: Path, name: str, delimiter: str, encoding: str, found: list[str]
) -> None:
    path = written(tmp_path / name, delimiter, encoding)
    assert values(RowFiles([path])) == (ROWS[1:], [(what, [name]) for what in found])


def test_big_endian_text_with_its_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xfe\xff" + "a,b\n1,ü\n".encode("utf-16-be"))
    assert values(RowFiles([path]))[0] == [["1", "ü"]]


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "cp1252"), (":", "cp1252"), (";", "utf-16-le")]
)
def test_what_is_given_is_taken_as_it_is(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = written(tmp_path / "x.csv", delimiter, encoding)
    source = RowFiles([path], delimiter=delimiter, encoding=encoding)
    assert values(source) == (ROWS[1:], [])


def test_two_delimiters_that_are_as_likely_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a;b,c\n1;2,3\n")
    with pytest.raises(DataError, match=r"commas \(2 columns\) or semicolons \(2 columns\); "):
        values(RowFiles([path]))
    assert values(RowFiles([path], delimiter=";"))[0] == [["1", "2,3"]]


def test_a_file_with_bad_rows_keeps_the_delimiter_of_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b;c\n1,2;\n1,2\n3,4\n")
    rows, noticed = values(RowFiles([path]))
    assert rows == [["1", "2;"], ["1", "2"], ["3", "4"]] and noticed == []


def test_a_column_alone_has_no_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text\nyes; it is\nno; never\n")
    assert values(RowFiles([path]))[0] == [["yes; it is"], ["no; never"]]


def test_text_of_windows_is_not_guessed_but_said_how_to_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", ",", "cp1252")
    with pytest.raises(
        DataError, match=r"line 3 of x.csv: not valid UTF-8 \(say encoding: cp1252 if Win"
    ):
        values(RowFiles([path]))
    path.write_bytes("Grüße,b\n1,2\n".encode("cp1252"))
    with pytest.raises(DataError, match="UTF-8; save the file as UTF-8, or say encoding: cp1252"):
        values(RowFiles([path]))


def test_bytes_that_an_encoding_does_not_have_are_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n1,\x81\n2,\xe4\n")
    source = RowFiles([path], bad_rows="drop", encoding="cp1252")
    assert values(source) == (
        [["2", "ä"]],
        [("unusable row: not valid cp1252", ["line 2 of x.csv"])],
    )


def test_zero_bytes_without_a_mark_ask_for_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="many zero bytes, as UTF-16 has; say its encoding"):
        values(RowFiles([path]))


def test_a_format_without_delimiters_refuses_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(DataError, match="is jsonl, which has no delimiter and is UTF-8; leave out"):
        list(read_rows(RowFiles([path]).files, delimiter=";"))


@pytest.mark.parametrize(
    ("name", "head", "sentence"),
    [
        ("x.xlsx", b"PK\x03\x04", "is a workbook; save the sheet with the rows as CSV"),
        ("x.zip", b"PK\x03\x04", "is a zip archive; unpack it first"),
        ("x.xls", b"\xd0\xcf\x11\xe0", "is a workbook; save the sheet with the rows as CSV"),
    ],
)
def test_a_workbook_is_refused_with_what_to_do(
    tmp_path: Path, name: str, head: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(head + b"....")
    with pytest.raises(DataError, match=sentence):
        values(RowFiles([tmp_path / name]))
