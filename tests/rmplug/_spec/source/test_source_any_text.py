"""No text breaks the reader of specs, and what is dumped is read back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from source_texts import pointed, value_of

from rmplug._spec.source import Mark, Source, parse_source, read_source
from rmplug.errors import Problem, SpecError

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
