"""No spec, however broken, ends in anything but a checked spec or a list of problems."""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import sample_plugin
from check_specs import KINDS, WHOLE
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rmplug import SpecError
from rmplug._cli.commands import main
from rmplug._spec.check import Spec, load_spec, open_spec
from rmplug._spec.source import parse_source
from rmplug.testing import registry_of

WHOLE_TEXT = json.dumps(WHOLE, indent=1)
SECONDS = 5.0

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.sampled_from(["pairs", "words.margin", "item", "loop", "count", "for-each", "", "a.b.c"])
quick = settings(
    max_examples=150, deadline=1000 * SECONDS, suppress_health_check=[HealthCheck.too_slow]
)


def spec_or_problems(text: str) -> Spec | SpecError:
    """What checking a text comes to; anything but these two is raised."""
    try:
        return load_spec(parse_source(text), KINDS)
    except SpecError as error:
        assert error.problems
        assert str(error).strip()
        return error


def test_the_spec_that_is_mutated_is_right():
    assert isinstance(spec_or_problems(WHOLE_TEXT), Spec)


@quick
@given(st.text())
@example("a: &a [*a]")
@example("? [a]\n: b")
@example("steps: {a: {kind: for-each, params: {values: [1], collect: [a], steps: <spec>}}}")
@example("steps: !!python/object:os.system {}")
def test_any_text_is_a_spec_or_has_problems(text: str):
    spec_or_problems(text)


@quick
@given(st.binary())
def test_any_bytes_are_a_spec_or_have_problems(tmp_path_factory: Any, content: bytes):
    path = tmp_path_factory.mktemp("bytes") / "spec.yaml"
    path.write_bytes(content)
    try:
        load_spec(path, KINDS)
    except SpecError as error:
        assert str(error).startswith(str(path))


@quick
@given(st.dictionaries(st.sampled_from([*WHOLE, "other"]), values | names, max_size=5))
def test_any_values_at_the_top_are_a_spec_or_have_problems(data: dict[str, Any]):
    spec_or_problems(json.dumps(data))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside, the deepest ones too."""
    found = [path] if path else []
    for key, inner in entries(value).items():
        found.extend(places(inner, (*path, key)))
    return found


def entries(value: Any) -> dict[Any, Any]:
    if isinstance(value, list):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


PLACES = places(WHOLE)


def mutate(data: dict[str, Any], path: tuple[Any, ...], change: str, value: Any) -> None:
    """Delete, replace, rename or double the value at a path, if it is still there."""
    holder: Any = data
    for key in path[:-1]:
        holder = entries(holder).get(key)
    key = path[-1]
    if not isinstance(holder, dict) or key not in holder:
        return
    if change == "delete":
        del holder[key]
    elif change == "replace":
        holder[key] = value
    elif change == "double":
        holder[f"{key}-again"] = copy.deepcopy(holder[key])
    else:
        holder[str(value)] = holder.pop(key)


changes = st.tuples(
    st.sampled_from(PLACES),
    st.sampled_from(["delete", "replace", "double", "rename"]),
    values | names,
)


@quick
@given(st.lists(changes, min_size=1, max_size=4))
def test_a_right_spec_with_changed_values_is_a_spec_or_has_problems(
    mutations: list[tuple[tuple[Any, ...], str, Any]],
):
    data = copy.deepcopy(WHOLE)
    for path, change, value in mutations:
        mutate(data, path, change, value)
    spec_or_problems(json.dumps(data))
    try:
        open_spec(data, [], KINDS)
    except SpecError as error:
        assert error.problems


@quick
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_a_right_spec_with_changed_characters_is_a_spec_or_has_problems(seed: int, count: int):
    dice = random.Random(seed)
    text = WHOLE_TEXT
    for _ in range(count):
        place = dice.randrange(len(text))
        cut = dice.choice([0, 1, 1, dice.randrange(40)])
        new = dice.choice(["", "\n", "\t", ": ", "- ", "*a", "&a ", "{", "]", "'", "\0", "🙂", "#"])
        text = text[:place] + new + text[place + cut :]
    spec_or_problems(text)


def bomb(depth: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, depth):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


def chain(count: int) -> str:
    """Steps that each need the one after: the worst order to find."""
    steps = [f"  s{n}: {{kind: shuffle, inputs: s{n + 1}}}" for n in range(count)]
    return "\n".join(["steps:", *steps, f"  s{count}: {{kind: some-pairs}}"])


HOSTILE = {
    "alias bomb": bomb(12),
    "brackets": "[" * 10_000_000,
    "braces and brackets": "steps: " + "{a: [" * 2_000_000,
    "nul bytes": "steps:\n  a: {kind: \0\0}\n",
    "nothing but nul bytes": "\0" * 1000,
    "one long word": "steps: " + "x" * 3_000_000,
    "many unknown steps": "steps:\n" + "".join(f"  s{n}: {{kind: k{n}}}\n" for n in range(9000)),
    "one long list of inputs": "steps:\n  a: {kind: page, inputs: ["
    + ", ".join(f"s{n}" for n in range(20_000))
    + "]}\n",
    "many cycles": "steps:\n"
    + "".join(f"  s{n}: {{kind: shuffle, inputs: s{n}}}\n" for n in range(4000)),
    "deep loops": "steps: "
    + "{l: {kind: for-each, params: {values: [1], collect: [l], steps: " * 40
    + "}}}" * 40,
    "long name": f"steps: {{a: {{kind: {'k' * 1_000_000}, inputs: {'i' * 1_000_000}}}}}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_spec_is_refused_in_seconds(name: str):
    started = time.process_time()
    assert isinstance(spec_or_problems(HOSTILE[name]), SpecError)
    assert time.process_time() - started < SECONDS


def test_a_long_chain_of_steps_is_checked_in_seconds():
    started = time.process_time()
    spec = spec_or_problems(chain(1500))
    assert isinstance(spec, Spec)
    assert next(iter(spec.graph.nodes)) == "s1500"
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_refuses_it_with_2_and_no_traceback(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "spec.yaml"
    path.write_text(HOSTILE[name], encoding="utf-8")
    monkeypatch.setattr(
        "rmplug._kinds.registry.discover", lambda disabled: registry_of(sample_plugin)
    )
    assert main(["check", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert shown.err.startswith(str(path))
    assert len(shown.err) < 1_000_000


def test_a_loop_over_thousands_of_values_is_checked_in_seconds():
    listed = ", ".join(map(str, range(1, 5001)))
    text = (
        "steps:\n  pairs: {kind: some-pairs}\n  loop: {kind: for-each, params: {collect: [w], "
        f"values: [{listed}], "
        "steps: {w: {kind: count, inputs: {data: pairs, scale: item}}}}}"
    )
    started = time.process_time()
    found = spec_or_problems(text)
    assert isinstance(found, SpecError)
    assert [problem.message for problem in found.problems] == [
        "AUC is undefined for a scale of 13; use 12 or 14"
    ]
    assert time.process_time() - started < SECONDS
