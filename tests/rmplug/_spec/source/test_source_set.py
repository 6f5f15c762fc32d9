"""Values that are set from outside: one each, marked where it was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_texts import CLOSE, SPEC, pointed

from rmplug._spec.source import Mark, parse_source
from rmplug.errors import SpecError


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
