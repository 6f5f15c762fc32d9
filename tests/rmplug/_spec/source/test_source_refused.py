"""Texts and files that are no spec are refused in plain words, however they were made."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_texts import CLOSE, refusal

from rmplug._spec.source import Mark, parse_source, read_source
from rmplug.errors import Problem, SpecError

COLON = "unexpected ':': check the indentation, and quote text with ': '"
STRAY = "unexpected text: check the indentation and quotes"
BLOCK = "only '-', '+', a digit from 1 to 9 or a comment may follow"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb\nc: 2", 2, 1, "expected ':' after this key"),
        ("a:\n\tb: 1", 2, 1, "a tab cannot stand here: use spaces"),
        ("a: @b", 1, 4, "text that begins with this sign needs quotes"),
        ("a: `b`", 1, 4, "text that begins with this sign needs quotes"),
        ("a: - b", 1, 4, "a list item cannot begin here: give it a line of its own"),
        ("a: ? b", 1, 4, "text that begins with '? ' needs quotes"),
        ("a: b: c", 1, 5, COLON),
        ("a: 1\n  b: 2", 2, 4, COLON),
        ("  a: 1\nb: 2", 2, 1, STRAY),
        ("a:\n  b: 1\n c: 2", 3, 2, STRAY),
        ('a: "b" c', 1, 8, STRAY),
        ("{a: 1} b", 1, 8, STRAY),
        ("a: [1, 2\nb: 3", 2, 2, f"{CLOSE} (line 1 opens a bracket that is not closed)"),
        ("a: {b: 1]", 1, 9, CLOSE),
        ("a: [1, , 2]", 1, 8, "a value is missing here"),
        ("a: 'b\nc: 1", 1, 4, "this quote is never closed"),
        ('a: "b\n---\n"', 1, 4, "this quote is never closed"),
        (r'a: "C:\data"', 1, 8, "unknown escape in double quotes: write \\\\ for a backslash"),
        (r'a: "\x4"', 1, 7, "unknown escape in double quotes: write \\\\ for a backslash"),
        (r'a: "\U00110000"', 1, 7, "no such character: the last one is \\U0010FFFF"),
        (r'a: "\UFFFFFFFF"', 1, 7, "no such character: the last one is \\U0010FFFF"),
        ("a: |x\n  b", 1, 4, BLOCK),
        ("a: >0\n  b", 1, 4, BLOCK),
        ("a: *.txt", 1, 4, "text that begins with '*' or '&' needs quotes"),
        ("a: & b", 1, 4, "text that begins with '*' or '&' needs quotes"),
        ("a: !{b}", 1, 4, "text that begins with '!' needs quotes"),
        ("a: !x!y z", 1, 4, "text that begins with '!' needs quotes"),
        ("a: !<x y", 1, 4, "text that begins with '!' needs quotes"),
        ("%YAML 1.2\n---\na: 1", 1, 1, "a spec takes no directives: delete this line"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins here: a spec is a single one"),
        ("a:\n  <<: {b: 1}", 2, 3, "merge keys are not read: write the fields out"),
        ("a: {? : 1}", 1, 6, "a key is missing"),
        ("path: {{ file }}", 1, 8, "a key is text: put quotes around it"),
        ("? [a]\n: b", 1, 3, "a key is text: put quotes around it"),
        ("- a\n- b", 1, 1, "not a mapping: a spec begins with a key, as in 'steps:'"),
        ("just text", 1, 1, "not a mapping: a spec begins with a key, as in 'steps:'"),
    ],
)
def test_what_is_no_yaml_is_refused_in_plain_words(
    text: str, line: int, column: int, message: str
) -> None:
    problem = refusal(text)
    assert (problem.message, problem.line, problem.column) == (message, line, column)
    assert (problem.file, problem.text) == ("<spec>", text.split("\n")[line - 1])


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert parse_source("'<<': 1\n'': 2").data == {"<<": 1, "": 2}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null", "\ufeff", "~"])
def test_an_empty_spec_is_refused(text: str) -> None:
    expected = Problem("empty: a spec begins with a key, as in 'steps:'", file="<spec>")
    assert refusal(text) == expected


@pytest.mark.parametrize(
    ("character", "code"),
    [
        ("\0", "0000"),
        ("\x07", "0007"),
        ("\x1b", "001B"),
        ("\x7f", "007F"),
        ("\x85", "0085"),
        ("\u2028", "2028"),
        ("\u2029", "2029"),
        ("\ufeff", "FEFF"),
        ("\ud800", "D800"),
        ("\uffff", "FFFF"),
    ],
)
def test_a_character_that_nobody_can_see_is_refused(character: str, code: str) -> None:
    problem = refusal(f"a: 1\nb: x{character}y")
    advice = f"delete it, or write \\u{code} inside double quotes"
    assert problem.message == f"invisible character U+{code}: {advice}"
    assert (problem.line, problem.column, problem.text) == (2, 5, "b: x\ufffdy")


@pytest.mark.parametrize(
    ("text", "line", "column", "code"),
    [
        ("a:\u00a01", 1, 3, "00A0"),
        ("a: 1\nb:\u00a02\nc: 3", 2, 3, "00A0"),
        ("a:\n\u00a0\u00a0b: 1", 2, 1, "00A0"),
        ("a: [1,\u00a02]", 1, 7, "00A0"),
        ("a: 'b'\u00a0# c", 1, 7, "00A0"),
        ("'a\u00a0b': it's 5\u202f%", 1, 14, "202F"),
        ("a: |\u00a0\n  b", 1, 5, "00A0"),
        ("a: &x\u00a0b", 1, 6, "00A0"),
        ("a: !!str\u00a0b", 1, 9, "00A0"),
    ],
)
def test_a_no_break_space_outside_quotes_is_named(
    text: str, line: int, column: int, code: str
) -> None:
    problem = refusal(text)
    advice = "use a normal space, or put quotes around the text"
    assert problem.message == f"no-break space U+{code}: {advice}"
    assert (problem.line, problem.column, problem.width) == (line, column, 1)


def test_a_no_break_space_in_quotes_blocks_and_comments_is_text() -> None:
    text = "'a\u00a0': \"b\u00a0\" #\u00a0\nc: |\n  d\u00a0\n"
    assert parse_source(text).data == {"a\u00a0": "b\u00a0", "c": "d\u00a0\n"}
    assert refusal(text + "e: 'f\u00a0' g #\u00a0").message == STRAY


def nested(depth: int) -> str:
    return "a: " + "[" * (depth - 1) + "]" * (depth - 1)


def test_sixty_four_levels_are_read_and_one_more_is_refused() -> None:
    assert parse_source(nested(64)).problems == []
    problem = refusal(nested(65))
    assert (problem.message, problem.column) == ("nested more than 64 deep", 67)
    assert refusal(
        "a: &x " + nested(40)[3:] + "\nb: [" * 1 + "[" * 25 + "*x" + "]" * 26
    ).message == ("nested more than 64 deep")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 4_000_000, "nested more than 64 deep"),
        ("- " * 2_000_000, "nested more than 64 deep"),
        ("".join(" " * i + "a:\n" for i in range(2_000)), "nested more than 64 deep"),
        ("{" * 4_000_000, "a key is text: put quotes around it"),
        ("? " * 2_000_000, "a key is text: put quotes around it"),
        ("%A\n" * 1_000_000, "a spec takes no directives: delete this line"),
        ("a: '" + "\n" * 2_000_000, "too many words: keep long texts in files of their own"),
        ("- a\n" * 200_000, "more than 100,000 keys and values, with what aliases repeat"),
        (
            "[" * 10_000_000,
            "larger than 4 MiB: keep data in files of its own and give their paths",
        ),
    ],
    ids=lambda value: value[:8] if len(value) > 100 else "",
)
def test_a_text_made_to_exhaust_the_reader_is_refused(text: str, message: str) -> None:
    assert refusal(text).message == message


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1\n#" + "x" * (4 * 1024 * 1024 - 6), {"a": 1}),
        ("a: '" + "\n" * 1_500_000 + "'", {"a": "\n" * 1_499_999}),
    ],
    ids=["comment", "quoted lines"],
)
def test_a_million_words_and_signs_are_read_only_with_libyaml(
    text: str, data: dict[str, object], libyaml: bool
) -> None:
    if libyaml:
        assert parse_source(text).data == data
    else:
        message = "too many words: keep long texts in files of their own"
        assert refusal(text).message == message


@pytest.mark.parametrize("sign", "#\n")
def test_an_empty_spec_of_four_million_signs_is_refused(sign: str, libyaml: bool) -> None:
    empty = "empty: a spec begins with a key, as in 'steps:'"
    many = "too many words: keep long texts in files of their own"
    assert refusal(sign * 4_000_000).message == (empty if libyaml else many)


def test_as_many_keys_and_values_are_read_as_the_message_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rmplug._spec.yaml_reader.MAX_VALUES", 9)
    assert parse_source("a: &x [1, 1]\nb: *x").data == {"a": [1, 1], "b": [1, 1]}
    assert parse_source("a: &x {b: 1}\nc: *x").data == {"a": {"b": 1}, "c": {"b": 1}}
    assert refusal("a: &x [1, 1]\nb: *x\nc: 1").message == (
        "more than 9 keys and values, with what aliases repeat"
    )


def file_refusal(path: Path) -> Problem:
    with pytest.raises(SpecError) as caught:
        read_source(path)
    (problem,) = caught.value.problems
    return problem


def test_a_file_is_read_and_remembers_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes("name: é\r\nseed: 1\r\n".encode())
    source = read_source(path)
    assert source.data == {"name": "é", "seed": 1}
    assert (source.file, source.folder, source.base(("name",))) == (str(path), tmp_path, tmp_path)
    assert source.mark(("seed",)) == Mark(str(path), 2, 7, "seed: 1", 1)


def test_a_file_that_is_not_there_or_cannot_be_opened_is_one_problem(tmp_path: Path) -> None:
    missing, nul, long = tmp_path / "none.yaml", tmp_path / "a\0b", tmp_path / ("a" * 300)
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "spec.yaml"
    assert file_refusal(missing) == Problem("no such file", file=str(missing))
    assert file_refusal(nul) == Problem("cannot be read: embedded null byte", file=str(nul))
    assert file_refusal(long) == Problem("cannot be read: File name too long", file=str(long))
    assert file_refusal(inside) == Problem("cannot be read: Not a directory", file=str(inside))
    assert file_refusal(tmp_path) == Problem(
        "this is a folder: give the spec file in it", file=str(tmp_path)
    )


def test_a_file_name_that_is_no_text_can_still_be_shown(tmp_path: Path) -> None:
    assert file_refusal(tmp_path / "a\udcff.yaml").file == str(tmp_path / "a?.yaml")


def test_a_file_larger_than_4_mib_is_refused_and_one_that_is_not_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("a: " + "x" * (4 * 1024 * 1024 - 3))
    assert read_source(path).data == {"a": "x" * (4 * 1024 * 1024 - 3)}
    path.write_text("a: " + "x" * (4 * 1024 * 1024 - 2))
    message = "larger than 4 MiB: keep data in files of its own and give their paths"
    assert file_refusal(path) == Problem(message, file=str(path))


@pytest.mark.parametrize(
    ("content", "byte", "offset", "line", "column"),
    [
        (b"a: 1\r\nb: caf\xe9\r\n", "e9", 12, 2, 7),
        ("a: 1".encode("utf-16"), "ff", 0, 1, 1),
        (b"a: \xc3\xa9\xed\xa0\x80", "ed", 5, 1, 5),
    ],
    ids=["latin-1", "utf-16", "surrogate"],
)
def test_a_file_that_is_not_utf_8_is_refused_at_the_byte(
    tmp_path: Path, content: bytes, byte: str, offset: int, line: int, column: int
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    problem = file_refusal(path)
    message = f"not UTF-8: byte 0x{byte} at offset {offset}; save the file as UTF-8"
    assert (problem.message, problem.line, problem.column) == (message, line, column)
