"""A spec becomes plain data, and every value keeps its place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from source_texts import SPEC, pointed, refusal, value_of

from rmplug._spec.source import Mark, parse_source
from rmplug.errors import Problem, SpecError


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
