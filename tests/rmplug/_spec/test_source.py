"""A spec becomes plain data, every value keeps its place, and no text breaks the reader."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmplug._spec.source import Mark, Source, parse_source, read_source
from rmplug.errors import Problem, SpecError

SPEC = """\
name: demo  # a comment
steps:
  why:
    kind: sklearn
    inputs: {features: [words, "a b"], target: reward.margin}
    params:
      args: {n_estimators: 100}
      note: |
        two
        lines
      empty:
"""


@pytest.fixture(scope="module", autouse=True, params=[True, False], ids=["libyaml", "python"])
def libyaml(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether libyaml reads the texts: every test here holds with it and without it."""
    if request.param and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", request.param)
        yield request.param


def refusal(text: str) -> Problem:
    """The one problem for which a text is refused."""
    with pytest.raises(SpecError) as caught:
        parse_source(text)
    (problem,) = caught.value.problems
    return problem


def pointed(mark: Mark | Problem) -> str:
    """The text above the caret."""
    return mark.text[mark.column - 1 : mark.column - 1 + mark.width]


def value_of(written: str) -> object:
    data = parse_source(f"x: {written}").data
    assert isinstance(data, dict)
    return data["x"]


# -- values -----------------------------------------------------------------------------------


def test_a_spec_becomes_plain_data() -> None:
    source = parse_source(SPEC, "demo.yaml", Path("specs"))
    assert source.data == {
        "name": "demo",
        "steps": {
            "why": {
                "kind": "sklearn",
                "inputs": {"features": ["words", "a b"], "target": "reward.margin"},
                "params": {"args": {"n_estimators": 100}, "note": "two\nlines\n", "empty": None},
            }
        },
    }
    assert (source.file, source.folder, source.problems) == ("demo.yaml", Path("specs"), [])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((word, None) for word in ("", "~", "null", "Null", "NULL", "# nothing")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        ("7", 7),
        ("-007", -7),
        ("+1", 1),
        ("0x1F", 31),
        ("0o17", 15),
        ("9" * 250, int("9" * 250)),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
        ("!!float 3", 3.0),
        ("!!float 0x10", 16.0),
        ("!!int '3'", 3),
        ("!!bool 'true'", True),
        ("!!null ''", None),
        ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
    ],
)
def test_plain_text_means_what_the_core_schema_of_yaml_1_2_says(
    written: str, value: object
) -> None:
    found = value_of(written)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    found = value_of(".NaN")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "written",
    [
        *("no", "on", "Yes", "nULL", "tRue", "nan", "inf", ".Nan", "2024-01-31", "12:30:45"),
        *("1_000", "0b1", "0x", "-0x1", "1e", ".", "+", "1.2.3", "٣", "=", "9" * 251),
    ],
)
def test_what_only_looks_like_a_value_of_another_type_is_text(written: str) -> None:
    assert value_of(written) == written


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("'1'", "1"),
        ('"null"', "null"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        (r'"\ud83d\ude00 \u2028 \0"', "😀 \u2028 \0"),
        (r'"\U0001F600"', "😀"),
        ("'it''s'", "it's"),
        (">-\n  one\n  two", "one two"),
    ],
)
def test_quoted_blocks_and_tagged_text_stay_text(written: str, text: str) -> None:
    assert value_of(written) == text


@pytest.mark.parametrize(
    "text",
    ["\ufeffa: 1\nb: [x]\n", "a: 1\r\nb: [x]\r\n", "a: 1\rb: [x]", "---\na: 1\nb: [x]\n...\n"],
    ids=["byte-order mark", "CRLF", "CR", "document markers"],
)
def test_how_a_file_was_saved_changes_neither_values_nor_places(text: str) -> None:
    source = parse_source(text)
    lines_above = text.startswith("---")
    assert source.data == {"a": 1, "b": ["x"]}
    assert source.mark(("b", 0)) == Mark("<spec>", 2 + lines_above, 5, "b: [x]", 1)


def test_json_is_yaml() -> None:
    data = {"a": {"b": [1, 2.5, None, True, "é\t😀\u2028\n"]}, "": {}}
    assert parse_source(json.dumps(data)).data == data
    assert parse_source(json.dumps(data, indent=2, separators=(",", ":"))).data == data


# -- places -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "line", "column", "shown"),
    [
        (("name",), 1, 7, "demo"),
        (("steps",), 3, 3, "w"),
        (("steps", "why", "kind"), 4, 11, "sklearn"),
        (
            ("steps", "why", "inputs"),
            5,
            13,
            '{features: [words, "a b"], target: reward.margin}',
        ),
        (("steps", "why", "inputs", "features"), 5, 24, '[words, "a b"]'),
        (("steps", "why", "inputs", "features", 1), 5, 32, '"a b"'),
        (("steps", "why", "params", "args", "n_estimators"), 7, 28, "100"),
        (("steps", "why", "params", "note"), 8, 13, "|"),
        (("steps", "why", "params", "empty"), 11, 13, ""),
    ],
)
def test_a_mark_points_at_the_value(
    path: tuple[str | int, ...], line: int, column: int, shown: str
) -> None:
    mark = parse_source(SPEC, "demo.yaml").mark(path)
    text = SPEC.splitlines()[line - 1]
    assert mark == Mark("demo.yaml", line, column, text, max(1, len(shown)))
    assert pointed(mark) == shown


@pytest.mark.parametrize(
    ("path", "line", "column", "shown"),
    [
        (("name",), 1, 1, "name"),
        (("steps", "why"), 3, 3, "why"),
        (("steps", "why", "inputs", "target"), 5, 40, "target"),
        (("steps", "why", "params", "note"), 8, 7, "note"),
    ],
)
def test_a_mark_can_point_at_the_key(
    path: tuple[str | int, ...], line: int, column: int, shown: str
) -> None:
    mark = parse_source(SPEC).mark(path, key=True)
    assert (mark.line, mark.column, pointed(mark)) == (line, column, shown)


def test_columns_count_characters_whatever_their_bytes() -> None:
    source = parse_source('é: 😀\n😀é: {a: "😀", "b\u3000": c}')
    assert [pointed(source.mark(("é",), key=key)) for key in (True, False)] == ["é", "😀"]
    assert source.mark(("😀é", "b\u3000")).column == 20
    assert pointed(source.mark(("😀é", "b\u3000"), key=True)) == '"b\u3000"'


@pytest.mark.parametrize("text", ["{a: , b: 1}", "{a:  # none\n}", "{b: 1, a  :\n}", "{a: }"])
def test_an_empty_value_in_brackets_is_marked_behind_its_colon(text: str) -> None:
    mark = parse_source(text).mark(("a",))
    assert (mark.line, mark.column) == (1, text.index(":", text.index("a")) + 2)


def test_what_was_not_written_is_marked_where_it_should_stand() -> None:
    source = parse_source(SPEC)
    missing = ("steps", "why", "params", "args", "seed", "deeper", 3)
    assert source.mark(missing) == source.mark(("steps", "why", "params", "args"))
    assert source.mark(missing, key=True) == source.mark(missing[:4], key=True)
    assert (
        source.mark(("nowhere",))
        == source.mark(())
        == Mark("<spec>", 1, 1, "name: demo  # a comment", 1)
    )
    assert source.mark(("steps", "why", "inputs", "features", 1), key=True).column == 32


def test_a_problem_carries_the_dotted_path_and_the_place() -> None:
    problem = parse_source(SPEC, "demo.yaml").problem(
        ("steps", "why", "inputs", "features", 0), "no such step"
    )
    assert problem == Problem(
        "no such step",
        "steps.why.inputs.features.0",
        "demo.yaml",
        5,
        25,
        '    inputs: {features: [words, "a b"], target: reward.margin}',
        5,
    )


def test_a_problem_can_be_printed_whatever_a_key_is_made_of() -> None:
    source = parse_source(r'"a\e[31m": {"\n": 1}')
    assert source.problem(("a\x1b[31m", "\n"), "bad").path == r"a\x1b[31m.\n"


# -- what is reported and read past -----------------------------------------------------------


def test_a_duplicate_key_is_reported_at_the_second_place_and_the_last_value_counts() -> None:
    source = parse_source("steps:\n  a: {kind: x}\n  b: 1\n  'a': {kind: y}\n")
    assert source.data == {"steps": {"a": {"kind": "y"}, "b": 1}}
    (problem,) = source.problems
    assert problem.message == "duplicate key 'a': already on line 2; delete one of them"
    assert (problem.path, problem.line, problem.column, pointed(problem)) == (
        "steps.a",
        4,
        3,
        "'a'",
    )
    assert source.mark(("steps", "a", "kind")).line == 4


@pytest.mark.parametrize("key", ["1", "true", "1.5", "~", "null", "!!int 3"])
def test_a_key_that_is_not_text_is_reported_and_kept_as_it_was_written(key: str) -> None:
    source = parse_source(f"a:\n  {key}: x\n")
    name = key.removeprefix("!!int ")
    assert source.data == {"a": {name: "x"}}
    (problem,) = source.problems
    assert problem.message == f"a key is text: put quotes around {name!r}"
    assert (problem.path, problem.line, problem.column) == (f"a.{name}", 2, 3)
    assert pointed(problem) == key


@pytest.mark.parametrize(
    ("written", "value", "message"),
    [
        ("!!timestamp 2024-01-31", "2024-01-31", "'!!timestamp'"),
        ("!!python/object/apply:os.system [ls]", ["ls"], "'!!python/object/apply:os.system'"),
        ("!env {a: 1}", {"a": 1}, "'!env'"),
        ("!!set {a: 1}", {"a": 1}, "'!!set'"),
        ("!!seq {a: 1}", {"a": 1}, "'!!seq'"),
        ("!<x%1B> 3", 3, r"'x\x1b'"),
    ],
)
def test_a_tag_that_means_nothing_here_is_reported_and_ignored(
    written: str, value: object, message: str
) -> None:
    source = parse_source(f"a: {written}\n")
    assert source.data == {"a": value}
    (problem,) = source.problems
    advice = "delete it, or quote text with '!' before it"
    assert problem.message == f"unsupported tag {message}: {advice}"
    assert (problem.path, problem.line, problem.column) == ("a", 1, 4)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("!!int many", "!!int cannot be 'many'"),
        ("!!int 1.5", "!!int cannot be '1.5'"),
        ("!!int true", "!!int cannot be 'true'"),
        ("!!float x", "!!float cannot be 'x'"),
        ("!!bool 1", "!!bool cannot be '1'"),
        ("!!null 0", "!!null cannot be '0'"),
        (r'"\ud83d"', "half of a surrogate pair: write both halves, or one \\U escape"),
    ],
)
def test_a_value_that_is_not_what_it_says_is_reported(written: str, message: str) -> None:
    (problem,) = parse_source(f"a: {written}").problems
    assert (problem.message, problem.path, problem.column) == (message, "a", 4)


def test_half_a_character_never_gets_into_the_data() -> None:
    assert parse_source(r'a: "x\ud83dy"').data == {"a": "x?y"}


def test_all_problems_are_reported_at_once_in_the_order_they_stand() -> None:
    source = parse_source("a: !x 1\na: 2\n3: 4\n")
    assert [(problem.path, problem.line) for problem in source.problems] == [
        ("a", 1),
        ("a", 2),
        ("3", 3),
    ]


def test_reading_stops_at_a_hundred_problems() -> None:
    with pytest.raises(SpecError) as caught:
        parse_source("a: 1\n" * 50_000)
    assert [problem.line for problem in caught.value.problems] == list(range(2, 102))


# -- aliases ----------------------------------------------------------------------------------


def test_an_alias_is_a_copy_that_nothing_shares() -> None:
    source = parse_source("a: &x {b: [1, {c: 2}]}\nd: *x\n")
    assert source.data == {"a": {"b": [1, {"c": 2}]}, "d": {"b": [1, {"c": 2}]}}
    source.set("d.b.1.c=3")
    assert source.data == {"a": {"b": [1, {"c": 2}]}, "d": {"b": [1, {"c": 3}]}}


def test_an_alias_is_marked_where_it_stands_and_its_parts_where_they_were_written() -> None:
    source = parse_source("a: &x {b: [1, 2]}\nd: [*x]\n")
    assert pointed(source.mark(("d", 0))) == "*x"
    assert source.mark(("d", 0, "b", 1)) == source.mark(("a", "b", 1))
    assert source.mark(("d", 0, "b"), key=True) == source.mark(("a", "b"), key=True)


def test_an_anchor_can_be_given_again_and_can_mark_a_key_or_a_single_value() -> None:
    assert parse_source("&k key: &x 1\na: *k\nb: *x\nc: &x []\nd: *x\n").data == {
        "key": 1,
        "a": "key",
        "b": 1,
        "c": [],
        "d": [],
    }


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    problem = refusal("\n".join(lines))
    assert problem.message == "more than 100,000 keys and values, with what aliases repeat"
    assert (problem.line, pointed(problem)) == (6, "*a4")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a: &x [*x]", 8, "this alias is inside the value that it repeats, marked with &x"),
        ("&x a: {b: [*y]}", 12, "unknown alias: no value before it is marked with &y"),
        ("{a: &x 1, *x : 2}", 11, "a key is text: put quotes around it"),
    ],
)
def test_an_alias_that_repeats_nothing_is_refused(text: str, column: int, message: str) -> None:
    problem = refusal(text)
    assert (problem.message, problem.line, problem.column) == (message, 1, column)


# -- what is refused --------------------------------------------------------------------------

CLOSE = "expected ',' or a closing bracket; text with brackets needs quotes"
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


# -- files ------------------------------------------------------------------------------------


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


# -- set --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("name=other", ("name",), "other"),
        ("name = other", ("name",), "other"),
        ("name=", ("name",), None),
        ("name='5'", ("name",), "5"),
        ("name=a=b", ("name",), "a=b"),
        (
            "steps.why.params.args.n_estimators=50",
            ("steps", "why", "params", "args"),
            {"n_estimators": 50},
        ),
        ("steps.why.params.args=[1, {a: 2}]", ("steps", "why", "params", "args"), [1, {"a": 2}]),
        ("steps.why.params.empty.a.b=1", ("steps", "why", "params", "empty"), {"a": {"b": 1}}),
        ("steps.new.kind=random", ("steps", "new"), {"kind": "random"}),
        ("steps.why.inputs.features.1=x", ("steps", "why", "inputs", "features"), ["words", "x"]),
        ("steps.why.inputs.0=x", ("steps", "why", "inputs", "0"), "x"),
    ],
)
def test_set_gives_one_value_anew(
    assignment: str, path: tuple[str | int, ...], value: object
) -> None:
    source = parse_source(SPEC)
    source.set(assignment)
    found = source.data
    for key in path:
        found = found[key]  # type: ignore[index]
    assert found == value


def test_set_reaches_through_an_empty_list_item() -> None:
    source = parse_source("a: [null]")
    source.set("a.0.b=1")
    assert source.data == {"a": [{"b": 1}]}


def test_a_value_that_was_set_is_marked_in_the_assignment() -> None:
    source = parse_source(SPEC, folder=Path("specs"))
    assignment = "steps.why.params.args={n_estimators: 50}"
    source.set(assignment)
    path = ("steps", "why", "params", "args")
    assert source.mark(path) == Mark("--set", 1, 23, assignment, 18)
    assert pointed(source.mark((*path, "n_estimators"))) == "50"
    assert pointed(source.mark((*path, "n_estimators"), key=True)) == "n_estimators"
    assert pointed(source.mark(path, key=True)) == "args"
    assert source.mark(("steps", "why", "params", "note")).line == 8


def test_a_mapping_that_set_creates_is_marked_by_its_name() -> None:
    source = parse_source(SPEC)
    source.set("steps.new.kind=rouge")
    assert source.mark(("steps", "new", "inputs")) == Mark("--set", 1, 7, "steps.new.kind=rouge", 3)
    assert pointed(source.mark(("steps", "new"), key=True)) == "new"


def test_set_of_a_parameter_of_no_step_names_the_step_that_was_meant() -> None:
    with pytest.raises(SpecError, match="steps: no such step; did you mean 'why'?"):
        parse_source(SPEC).set("steps.wyh.params.n=5")


def test_a_path_that_was_set_starts_from_the_current_folder() -> None:
    source = parse_source(SPEC, folder=Path("specs"))
    source.set("steps.why.params.args.path=data/pairs.jsonl")
    assert source.base(("steps", "why", "params", "args", "path")) == Path()
    assert source.base(("steps", "why", "params", "note")) == Path("specs")


def test_nothing_is_left_of_the_value_that_was_set_anew() -> None:
    source = parse_source("a: {b: {c: 1}}")
    source.set("a=2")
    assert source.mark(("a", "b", "c")) == source.mark(("a",)) == Mark("--set", 1, 3, "a=2", 1)


@pytest.mark.parametrize(
    ("assignment", "path", "column", "message"),
    [
        ("seed", "", 1, "no '=': write it as in seed=7"),
        ("", "", 1, "no '=': write it as in seed=7"),
        ("=7", "", 1, "a name is missing in the path"),
        ("steps..kind=x", "steps", 7, "a name is missing in the path"),
        ("name.=x", "name", 6, "a name is missing in the path"),
        ("name.x=1", "name", 6, "nothing can be set inside a plain value"),
        (
            "steps.why.inputs.features.2=x",
            "steps.why.inputs.features",
            27,
            "not one of the 2 items, which are counted from 0",
        ),
        (
            "steps.why.inputs.features.first=x",
            "steps.why.inputs.features",
            27,
            "not one of the 2 items, which are counted from 0",
        ),
        (
            "steps.why.inputs.features.-1=x",
            "steps.why.inputs.features",
            27,
            "not one of the 2 items, which are counted from 0",
        ),
        ("name=[1", "", 8, CLOSE),
        (
            "name={a: 1, a: 2}",
            "name.a",
            13,
            "duplicate key 'a': already on line 1; delete one of them",
        ),
        (
            "name=a\x1bb",
            "",
            7,
            "invisible character U+001B: delete it, or write \\u001B inside double quotes",
        ),
        (
            "name=a\u00a0b",
            "",
            7,
            "no-break space U+00A0: use a normal space, or put quotes around the text",
        ),
        (".".join("a" * 65) + "=1", ".".join("a" * 64), 129, "too many names in the path"),
        (".".join("a" * 64) + "=[]", "", 129, "nested more than 64 deep"),
    ],
)
def test_an_assignment_that_cannot_be_made_is_one_problem_and_changes_nothing(
    assignment: str, path: str, column: int, message: str
) -> None:
    source = parse_source(SPEC)
    with pytest.raises(SpecError) as caught:
        source.set(assignment)
    (problem,) = caught.value.problems
    assert (problem.message, problem.path) == (message, path)
    assert (problem.file, problem.line, problem.column) == ("--set", 1, column)
    assert problem.text == assignment.replace("\x1b", "\ufffd")
    assert source.data == parse_source(SPEC).data


# -- whatever is written ----------------------------------------------------------------------

TEXT = st.text(max_size=20)
PLAIN = TEXT.filter(lambda text: text[:1] not in set("+-.0123456789"))
STRUCTURE = st.lists(
    st.sampled_from(
        [
            *" \n\t:-?,[]{}#&*!|>'\"%@~<\\",
            *(
                "\n  ",
                "\n- ",
                ": ",
                "a",
                "1",
                "é",
                "\u00a0",
                "\u2028",
                "\r\n",
                "\\ud83d",
                "\\UFFFFFFFF",
            ),
            *("&a ", "*a ", "!!str ", "<<: ", "|2+\n", "---\n", "...\n"),
        ]
    ),
    max_size=60,
).map("".join)


def json_like(text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, object]]:
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    values = st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=6,
    )
    return st.dictionaries(text, values, min_size=1, max_size=4)


def scalars(
    value: object, path: tuple[str | int, ...] = ()
) -> list[tuple[tuple[str | int, ...], object]]:
    """Every scalar in plain data with its path; fails on anything that is not plain."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        return [found for key in value for found in scalars(value[key], (*path, key))]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in scalars(item, (*path, i))]
    assert value is None or type(value) in (str, int, float, bool)
    return [(path, value)]


def read_or_refused(text: str) -> Source | None:
    """Checks that a text gives plain data with its places, or problems that stand in the text."""
    try:
        source = parse_source(text)
    except SpecError as error:
        check_problems(error.problems)
        return None
    check_problems([source.problem(path, "a value") for path, _ in scalars(source.data)])
    check_problems(source.problems)
    return source


def check_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        assert problem.width >= 1
        assert problem.line == 0 or 1 <= problem.column <= len(problem.text) + 1
        assert str(problem).encode()


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refused(text)
    read_or_refused(f"a: {text}")


@settings(deadline=None, max_examples=400)
@given(STRUCTURE)
def test_any_jumble_of_yaml_is_read_or_refused(text: str) -> None:
    read_or_refused(text)
    source = read_or_refused(f"a: [1]\nb: {text}")
    if source:
        with pytest.raises(SpecError, match="not one of the 1 items"):
            source.set("a.1=2")


@settings(deadline=None)
@given(STRUCTURE)
def test_any_assignment_is_made_or_refused(text: str) -> None:
    source = parse_source("a: [1, {b: 2}]")
    for assignment in (text, f"a.1.b={text}", f"a.0.{text}=1"):
        try:
            source.set(assignment)
        except SpecError as error:
            assert all(problem.file == "--set" for problem in error.problems)
        assert all(source.mark(path).width for path, _ in scalars(source.data))


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-bytes.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(read_source(path).data, dict)
    except SpecError as error:
        assert error.problems


@settings(deadline=None)
@given(json_like(PLAIN), st.booleans())
def test_what_was_dumped_is_read_back(data: dict[str, object], flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow)
    source = parse_source(text)
    assert (source.data, source.problems) == (data, [])


@settings(deadline=None)
@given(json_like(TEXT), st.sampled_from("\"'"))
def test_what_was_dumped_in_quotes_with_tags_is_read_back(
    data: dict[str, object], style: str
) -> None:
    source = parse_source(yaml.safe_dump(data, default_style=style))
    assert (source.data, source.problems) == (data, [])


@settings(deadline=None)
@given(json_like(TEXT), st.sampled_from([None, 1]))
def test_what_was_dumped_as_json_is_read_back(data: dict[str, object], indent: int | None) -> None:
    text = json.dumps(data, indent=indent).replace("\x7f", "\\u007f")
    assert parse_source(text).data == data


@settings(deadline=None)
@given(json_like(PLAIN.filter(lambda text: "\n" not in text)), st.booleans())
def test_the_mark_of_every_scalar_points_at_text_that_means_it(
    data: dict[str, object], flow: bool
) -> None:
    source = parse_source(yaml.safe_dump(data, default_flow_style=flow, width=10**9))
    for path, value in scalars(source.data):
        assert value_of(pointed(source.mark(path))) == value


def test_reading_is_what_imports_yaml() -> None:
    code = (
        "import sys, rmplug._spec.source as s; "
        "assert 'yaml' not in sys.modules; s.parse_source('a: 1')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def reading(text: str, with_libyaml: bool) -> tuple[str, list[Problem], list[Mark]]:
    """The data of a text, its problems, and the mark of every scalar and of its key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", with_libyaml)
        try:
            source = parse_source(text)
        except SpecError as error:
            return "", list(error.problems), []
    paths = [path[:end] for path, _ in scalars(source.data) for end in range(len(path) + 1)]
    marks = [source.mark(path, key=key) for path in paths for key in (False, True)]
    return repr(source.data), source.problems, marks


@settings(deadline=None, max_examples=400)
@given(STRUCTURE)
@example("a: {b: , c: #\n }")
@example("a: |#\n  b")
@example("a:\tb\t# c")
@example("a: [b?c]")
@example("a: &x ! 1")
@example("*a !b!c!d ")
@example("a: !b%00c d")
@example("a: !b%ED%A0%80 c")
@example("a: !b!c!d e")
@example("%YAML 1.2\n---\na: 1")
@example(r'a: "\ud83d\ude00"')
@example("a: &x 1\nb: [*x, c::d]\n@")
def test_a_text_means_the_same_with_libyaml_and_without(libyaml: bool, text: str) -> None:
    if not libyaml:
        pytest.skip("compared once")
    assert reading(text, True) == reading(text, False)
    assert reading(f"a: {text}", True) == reading(f"a: {text}", False)
