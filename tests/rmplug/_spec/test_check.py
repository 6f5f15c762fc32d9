"""A spec is proved before anything runs: its keys, kinds, parameters and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_specs import KINDS, load, refusal, told

from rmplug import Pairs, SpecError
from rmplug._spec.check import load_spec, open_spec
from rmplug.known import Ref

PAIRS = "  pairs: {kind: some-pairs}\n"


def test_a_spec_is_read_with_its_defaults():
    spec = load("steps:\n" + PAIRS)
    assert (spec.name, spec.seed, spec.observers) == ("spec", 0, ())
    assert spec.engine.kind == "local"
    assert spec.graph.nodes["pairs"].step.rows == 7
    assert spec.graph.nodes["pairs"].gives.types == (Pairs,)


def test_a_problem_is_shown_with_file_line_column_path_and_caret():
    assert refusal("steps:\n  a:\n    kind: some-pairs\n    params: {rowz: 3}\n") == (
        "spec.yaml:4:14: steps.a.params.rowz: unknown field; did you mean 'rows'?\n"
        "  4 |     params: {rowz: 3}\n"
        "    |              ^^^^"
    )


def test_all_problems_are_found_at_once_in_the_order_of_the_file():
    assert told("""\
        name: 3
        seed: -1
        steps:
          a: {kind: some-pears, inputs: b}
          b: {kind: count, inputs: {dat: a}, params: {scale: 0}}
          c: {kind: count, inputs: pears}
          3d: {kind: some-pairs}
          e: {kind: some-pairs, kind: some-pairs}
        """) == [
        "1:7: name: must be text, not 3",
        "2:7: seed: must be 0 or more, not -1",
        "4:13: steps.a.kind: unknown kind 'some-pears'; did you mean 'some-pairs'?",
        "5:34: steps.b.inputs.dat: no such input; did you mean 'data'? "
        "('count' takes inputs: data)",
        "5:54: steps.b.params.scale: must be more than 0.0, not 0",
        "6:28: steps.c.inputs: no step 'pears' (steps: a, b, 3d, e)",
        "7:3: steps.3d: step id '3d': use a letter, then letters, digits, '-' and '_'",
        "8:25: steps.e.kind: duplicate key 'kind': already on line 8; delete one of them",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nmae: x\nsteps: {a: {kind: some-pairs}}", "1:1: nmae: unknown key; did you mean 'name'?"),
        (
            "zzz: x\nsteps: {a: {kind: some-pairs}}",
            "1:1: zzz: unknown key; known: name, seed, engine, track, steps",
        ),
        ("name: x", "1:1: steps: missing; name at least one step"),
        (
            "steps: {}",
            "1:8: steps: must be a mapping of step ids to steps, with at least one step",
        ),
        (
            "steps: [a]",
            "1:8: steps: must be a mapping of step ids to steps, with at least one step",
        ),
        ("seed: 1.5\nsteps: {a: {kind: some-pairs}}", "1:7: seed: must be a whole number, not 1.5"),
        (
            "seed: true\nsteps: {a: {kind: some-pairs}}",
            "1:7: seed: must be a whole number, not true",
        ),
        ("name:\nsteps: {a: {kind: some-pairs}}", "1:6: name: must be text, not null"),
        (
            "name: [x]\nsteps: {a: {kind: some-pairs}}",
            "1:7: name: must be text, not a list",
        ),
        ("steps: {a: 3}", "1:12: steps.a: a step is a mapping with kind, inputs and params"),
        ("steps: {a: {}}", "1:9: steps.a.kind: missing; rmplug describe lists all kinds"),
        ("steps: {a: {kind: [x]}}", "1:19: steps.a.kind: must be text, not a list"),
        (
            "steps: {a: {kind: some-pairs, parms: {}}}",
            "1:31: steps.a.parms: unknown key; did you mean 'params'?",
        ),
        (
            "steps: {a: {kind: some-pairs, params: [1]}}",
            "1:39: steps.a.params: must be a mapping of parameters, not a list",
        ),
        (
            "steps: {a: {kind: some-pairs, inputs: b}}",
            "1:39: steps.a.inputs: 'some-pairs' takes no inputs",
        ),
        (
            "steps: {a: {kind: count, inputs: 3}}",
            "1:34: steps.a.inputs: must be a step id, a list of them, or a mapping of inputs",
        ),
        (
            "steps: {a: {kind: page, inputs: {items: [3]}}}",
            "1:41: steps.a.inputs.items: must name a step, or be a list of steps",
        ),
        (
            "steps: {a: {kind: watch}}",
            "1:19: steps.a.kind: 'watch' is an observer: it belongs under 'track', not in steps",
        ),
        (
            "steps: {a: {kind: plain}}",
            "1:19: steps.a.kind: 'plain' is an engine: it belongs under 'engine', not in steps",
        ),
    ],
)
def test_a_wrong_envelope_is_refused(text: str, problem: str):
    assert problem in told(text)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("{rows: x}", "params.rows: must be a whole number, not 'x'"),
        ("{rows: 0}", "params.rows: must be 1 or more, not 0"),
        ("{rows: 2.5}", "params.rows: must be a whole number, not 2.5"),
        (
            "{form: messagess}",
            "params.form: must be 'text' or 'messages', not 'messagess'; did you mean 'messages'?",
        ),
        ("{names: 3}", "params.names: must be a mapping, not 3"),
        ("{names: {chosne: x}}", "params.names.chosne: unknown field; did you mean 'chosen'?"),
        ("{names: {zzz: x}}", "params.names.zzz: unknown field; known: chosen, rejected"),
        (
            "{zzz: 1}",
            "params.zzz: unknown field; known: odd_rows, rows, path, form, names",
        ),
        ("{names: {chosen: [1]}}", "params.names.chosen: must be text, not a list"),
    ],
)
def test_a_wrong_parameter_is_told_in_plain_words(params: str, problem: str):
    (found,) = told(f"steps:\n  a:\n    kind: some-pairs\n    params: {params}\n")
    assert found.startswith("4:") and found.endswith(f": steps.a.{problem}")


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("{weights: 3}", "params.weights: must be a mapping or text, not 3"),
        ("{weights: {a: x}}", "params.weights.a: must be a whole number, not 'x'"),
        ("{scale: 13}", "params.scale: AUC is undefined for a scale of 13; use 12 or 14"),
        ("{scale: null}", "params.scale: must be a number, not null"),
    ],
)
def test_a_union_or_a_rule_of_the_kind_is_told_once(params: str, problem: str):
    found = told(f"steps:\n{PAIRS}  a: {{kind: count, inputs: pairs, params: {params}}}\n")
    assert [entry.split(": steps.a.")[1] for entry in found] == [problem]


def test_a_required_parameter_must_be_there():
    assert told("steps:\n  a:\n    kind: some-responses\n") == [
        "2:3: steps.a.params.path: missing; this field is required"
    ]


def test_a_missing_library_comes_with_the_line_that_installs_it():
    assert told(
        f"steps:\n{PAIRS}  a: {{kind: far, inputs: pairs}}\n  b: {{kind: bare, inputs: pairs}}\n"
    ) == [
        "3:13: steps.a.kind: 'far' needs no-such-library, nor-this-one: "
        "pip install 'sample_plugin[far]'",
        "4:13: steps.b.kind: 'bare' needs no-such-library: pip install no-such-library",
    ]


def test_a_missing_library_does_not_hide_what_else_is_wrong():
    assert len(told(f"steps:\n{PAIRS}  a: {{kind: far, inputs: pears, params: {{x: 1}}}}\n")) == 3


def test_steps_may_stand_in_any_order():
    spec = load("""\
        steps:
          page: {kind: page, inputs: [words, pairs]}
          words: {kind: count, inputs: pairs}
          pairs: {kind: some-pairs}
        """)
    assert list(spec.graph.nodes) == ["pairs", "words", "page"]
    assert spec.graph.nodes["page"].inputs == {"items": (Ref("words"), Ref("pairs"))}


def test_every_cycle_is_named():
    assert told("""\
        steps:
          a: {kind: count, inputs: b}
          b: {kind: count, inputs: c}
          c: {kind: count, inputs: a}
          d: {kind: count, inputs: d, params: {scale: -1}}
        """) == [
        "2:3: steps.a: steps need each other: a → b → c → a",
        "5:3: steps.d: steps need each other: d → d",
        "5:47: steps.d.params.scale: must be more than 0.0, not -1",
    ]


def test_a_step_that_is_written_twice_is_one_problem() -> None:
    text = (
        "steps:\n  pairs: {kind: some-pairs}\n  pairs: {kind: count, inputs: pairs}\n"
        "  fit: {kind: line, inputs: {features: [words], target: words.margin}}\n"
    )
    [problem] = told(text)
    assert "steps.pairs: duplicate key 'pairs': already on line 2" in problem


def test_the_engine_and_the_observers_are_checked_like_steps():
    assert told("""\
        engine: {kind: plian, parms: {}}
        track: {watch: {laud: true}, some-pairs: {}, other: 3}
        steps: {a: {kind: some-pairs}}
        """) == [
        "1:16: engine.kind: unknown kind 'plian'; did you mean 'plain'?",
        "1:23: engine.parms: unknown key; did you mean 'params'?",
        "2:17: track.watch.laud: unknown field; did you mean 'loud'?",
        "2:30: track.some-pairs: 'some-pairs' is of the family 'dataset loader', not 'observer'",
        "2:53: track.other: unknown kind 'other'; rmplug plugins lists what is installed",
        "2:53: track.other: must be a mapping of parameters, not 3",
    ]


def test_an_engine_has_parameters_and_observers_are_made():
    spec = load("""\
        engine: {kind: local, params: {workers: 3}}
        track:
          watch: {loud: true}
        steps: {a: {kind: some-pairs}}
        """)
    assert spec.engine.workers == 3
    alone = load("engine: {params: {workers: 2}}\nsteps: {a: {kind: some-pairs}}")
    assert (alone.engine.kind, alone.engine.workers) == ("local", 2)
    assert [(o.kind, o.loud) for o in spec.observers] == [("watch", True)]
    assert told("engine: {kind: local, params: {workers: 0}}\nsteps: {a: {kind: some-pairs}}") == [
        "1:41: engine.params.workers: must be 1 or more, not 0"
    ]


def test_an_engine_that_is_no_mapping_and_a_list_of_observers_are_refused():
    found = told("engine: local\ntrack: [watch]\nsteps: {a: {kind: some-pairs}}")
    assert found == [
        "1:9: engine: must be a mapping with kind and params, not 'local'",
        "2:8: track: must be a mapping of observers to their parameters, not a list",
    ]


def test_files_are_found_from_the_folder_of_the_spec(tmp_path: Path):
    (tmp_path / "data").mkdir()
    for name in ("b.jsonl", "a.jsonl", "c[1].jsonl"):
        (tmp_path / "data" / name).touch()
    spec = load(
        "steps:\n"
        "  one: {kind: some-responses, params: {path: data/a.jsonl}}\n"
        "  all: {kind: some-pairs, params: {path: 'data/?.jsonl'}}\n"
        "  odd: {kind: some-pairs, params: {path: ['data/c[1].jsonl', data/a*]}}\n",
        folder=tmp_path,
    )
    steps = {name: node.step for name, node in spec.graph.nodes.items()}
    assert steps["one"].path == tmp_path / "data" / "a.jsonl"
    assert [path.name for path in steps["all"].path] == ["a.jsonl", "b.jsonl"]
    assert [path.name for path in steps["odd"].path] == ["c[1].jsonl", "a.jsonl"]


@pytest.mark.parametrize("path", ["none.jsonl", "none*.jsonl", "~no-one/x", "a" * 5000, "**/x"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, path: str):
    text = f"steps:\n  one: {{kind: some-responses, params: {{path: '{path}'}}}}\n"
    (found,) = told(text, folder=tmp_path)
    assert found.startswith("2:46: steps.one.params.path: no such file or folder: ")
    assert f"{tmp_path}/{path}"[:1900] in found


def test_a_path_with_a_nul_byte_is_refused(tmp_path: Path):
    text = 'steps:\n  one: {kind: some-responses, params: {path: "a\\0b"}}\n'
    assert len(told(text, folder=tmp_path)) == 1


def test_set_changes_one_value_and_is_named_in_problems():
    text = "steps:\n" + PAIRS
    assert load(text, "steps.pairs.params.rows=3").graph.nodes["pairs"].step.rows == 3
    assert refusal(text, "steps.pairs.params.rows=none") == (
        "--set:1:25: steps.pairs.params.rows: must be a whole number, not 'none'\n"
        "  1 | steps.pairs.params.rows=none\n"
        "    |                         ^^^^"
    )


def test_python_data_is_a_spec_too():
    spec = open_spec({"steps": {"a": {"kind": "some-pairs", "params": {"rows": 3}}}}, [], KINDS)
    assert spec.graph.nodes["a"].step.rows == 3
    with pytest.raises(SpecError, match=r"^<python>:\d+:\d+: steps\.a\.params\.rows: must be 1"):
        open_spec({"steps": {"a": {"kind": "some-pairs", "params": {"rows": 0}}}}, [], KINDS)


def test_no_more_than_a_hundred_problems_are_told():
    steps = "".join(f"  s{number}: {{kind: nothing-like-it}}\n" for number in range(300))
    assert len(told("steps:\n" + steps)) == 100


def test_a_name_of_any_length_is_told_in_short():
    (found,) = told("steps:\n" + PAIRS + f"  a: {{kind: page, inputs: {'x' * 100_000}}}\n")
    assert len(found) < 400


def test_a_file_that_holds_no_spec_is_refused(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(SpecError, match="not a mapping: a spec begins with a key"):
        load_spec(path, KINDS)
