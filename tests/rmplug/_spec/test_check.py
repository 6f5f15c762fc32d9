from __future__ import annotations

from pathlib import Path

import pytest
from check_specs import KINDS, load, refusal, told

from rmplug import Features, Pairs, SpecError
from rmplug._spec.check import load_spec, open_spec
from rmplug._spec.source import read_source
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


EDGES = """\
steps:
  pairs: {{kind: some-pairs}}
  model: {{kind: length-model}}
  words: {{kind: count, inputs: pairs}}
  asked: {{kind: ask, inputs: {{model: model, data: pairs}}}}
  trained: {{kind: teach, inputs: pairs}}
  fit: {{kind: line, inputs: {{features: [words], target: words.margin}}}}
  picked: {{kind: pick, inputs: pairs}}
  mixed: {{kind: shuffle, inputs: pairs}}
  either: {{kind: either, inputs: pairs}}
  last: {last}
"""


@pytest.mark.parametrize(
    "last",
    [
        "{kind: ask, inputs: {model: trained, data: pairs}}",
        "{kind: ask, inputs: {model: model, data: mixed}}",
        "{kind: count, inputs: either}",
        "{kind: pick, inputs: {data: pairs, scores: words.first}}",
        "{kind: line, inputs: {features: words, target: asked}}",
        "{kind: line, inputs: {features: [words, asked.x, fit.rows], target: pairs.margin}}",
        "{kind: mean, inputs: [words]}",
        "{kind: mean, inputs: {features: words, data: mixed}}",
        "{kind: mean, inputs: [words, asked], params: {of: words.first}}",
        "{kind: mean, inputs: [words, asked], params: {of: asked.anything}}",
        "{kind: page, inputs: [pairs, model, words, asked.x, trained, fit, picked, either]}",
        "{kind: page, inputs: picked.gain}",
    ],
)
def test_an_edge_that_fits_is_taken(last: str):
    assert told(EDGES.format(last=last)) == []


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        (
            "{kind: ask, inputs: {model: pairs, data: pairs}}",
            "11:37: steps.last.inputs.model: model takes RewardModel, but pairs gives Pairs; "
            "what fits here: model, trained",
        ),
        (
            "{kind: line, inputs: {features: [words, pairs], target: words}}",
            "11:49: steps.last.inputs.features.1: "
            "features takes list of Features, but pairs gives Pairs; "
            "what fits here: words, asked",
        ),
        (
            "{kind: count, inputs: [pairs, mixed]}",
            "11:31: steps.last.inputs: data takes one Pairs | Responses, not a list",
        ),
        (
            "{kind: teach, inputs: words}",
            "11:31: steps.last.inputs: data takes Pairs, but words gives Features; "
            "what fits here: pairs, mixed",
        ),
        (
            "{kind: mean, inputs: [words.magrin]}",
            "11:31: steps.last.inputs.0: words.magrin: no column 'magrin'; did you mean 'margin'? "
            "(it gives first, last, margin)",
        ),
        (
            "{kind: mean, inputs: [words], params: {of: words.frist}}",
            "11:52: steps.last.params.of: words gives no column 'frist'; did you mean 'first'? "
            "(it gives first, last, margin)",
        ),
        (
            "{kind: page, inputs: [model.x]}",
            "11:31: steps.last.inputs.0: model.x: RewardModel has no columns",
        ),
        (
            "{kind: page, inputs: [wrods]}",
            "11:31: steps.last.inputs.0: no step 'wrods'; did you mean 'words'? "
            "(steps: pairs, model, words, asked, trained, fit, picked, mixed and 1 more)",
        ),
        (
            "{kind: mean, inputs: [words, asked, words]}",
            "11:45: steps.last.inputs.2: words is named twice; name each step once",
        ),
        (
            "{kind: mean, inputs: {features: [asked.x, asked.x]}}",
            "11:51: steps.last.inputs.features.1: asked.x is named twice; name each step once",
        ),
        (
            "{kind: mean}",
            "11:3: steps.last.inputs.features: missing; it takes list of Features",
        ),
        (
            "{kind: shuffle, inputs: {data: pairs, share: words}}",
            "11:54: steps.last.inputs.share: share is a parameter: "
            "only a plain value of a loop can set it",
        ),
    ],
)
def test_an_edge_that_does_not_fit_is_refused_where_it_is_written(last: str, problem: str):
    assert told(EDGES.format(last=last)) == [problem]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            "w: {kind: count, inputs: {dta: pairs}}",
            "3:34: steps.w.inputs.dta: no such input; did you mean 'data'? "
            "('count' takes inputs: data)",
        ),
        (
            "w: {kind: count, input: pairs}",
            "3:20: steps.w.input: unknown key; did you mean 'inputs'?",
        ),
        (
            "w: {kid: count, inputs: pairs}",
            "3:7: steps.w.kid: unknown key; did you mean 'kind'?",
        ),
        (
            "w: {kind: some-responses, parms: {path: x}}",
            "3:29: steps.w.parms: unknown key; did you mean 'params'?",
        ),
        (
            "w: {kind: some-responses, params: {pth: x}}",
            "3:38: steps.w.params.pth: unknown field; did you mean 'path'?",
        ),
        (
            "w: {kind: count, inputs: [pairs, mean]}\n  mean: {kind: length-model}",
            "3:28: steps.w.inputs: data takes one Pairs | Responses, not a list",
        ),
        (
            "w: {kind: for-each, params: {values: [1], colect: [a], "
            "steps: {a: {kind: count, inputs: pairs}}}}\n  m: {kind: mean, inputs: [w.a]}",
            "3:45: steps.w.params.colect: unknown field; did you mean 'collect'?",
        ),
        (
            "w: {kind: for-each, params: {values: [1], collect: [a], "
            "step: {a: {kind: count, inputs: pairs}}}}",
            "3:59: steps.w.params.step: unknown field; did you mean 'steps'?",
        ),
    ],
)
def test_one_mistake_is_told_once(step: str, problem: str):
    assert told(f"steps:\n  pairs: {{kind: some-pairs}}\n  {step}\n") == [problem]


def test_misspelt_steps_are_not_missed_as_well():
    assert told("step: {pairs: {kind: some-pairs}}") == [
        "1:1: step: unknown key; did you mean 'steps'?"
    ]


def test_all_that_a_step_lacks_is_told_at_once():
    assert told("steps:\n  last: {kind: line, prams: {}}\n") == [
        "2:3: steps.last.inputs.features: missing; it takes list of Features",
        "2:3: steps.last.inputs.target: missing; it takes Features",
        "2:22: steps.last.prams: unknown key; did you mean 'params'?",
    ]


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("seed=", "--set:1:1: seed: must be a whole number, not null"),
        (
            "steps.pairs=",
            "--set:1:7: steps.pairs: a step is a mapping with kind, inputs and params",
        ),
        (
            "steps.pairs.params.rows=",
            "--set:1:20: steps.pairs.params.rows: must be a whole number,",
        ),
        (
            "steps.loop.params.steps.wrods.params.scale=3",
            "--set:1:25: steps.loop.params.steps: no such step; did you mean 'words'?",
        ),
    ],
)
def test_an_assignment_that_is_wrong_points_at_itself(assignment: str, problem: str):
    text = (
        "steps:\n  pairs: {kind: some-pairs}\n  loop: {kind: for-each, params: {values: [1], "
        "collect: [words], steps: {words: {kind: count, inputs: pairs}}}}\n"
    )
    assert refusal(text, assignment).startswith(problem)


@pytest.mark.parametrize(
    ("last", "doubts"),
    [
        ("{kind: mean, inputs: [words.first], params: {of: words.first}}", ()),
        (
            "{kind: mean, inputs: [asked.x, fit.rows]}",
            ("column 'x' of asked", "column 'rows' of fit"),
        ),
        ("{kind: mean, inputs: [asked], params: {of: asked.y}}", ("column 'y' of asked",)),
    ],
)
def test_what_only_running_tells_is_listed_as_not_checked(last: str, doubts: tuple[str, ...]):
    assert set(load(EDGES.format(last=last)).doubts) == set(doubts)


def test_what_is_asked_of_steps_inside_a_loop_and_only_running_tells_is_listed_too():
    spec = load(
        "steps:\n" + PAIRS + "  model: {kind: length-model}\n"
        "  loop: {kind: for-each, params: {values: [1], collect: [m], steps: {"
        "a: {kind: ask, inputs: {model: model, data: pairs}}, m: {kind: mean, inputs: [a.x]}}}}\n"
    )
    assert spec.doubts == ("column 'x' of a",)


def test_a_sampler_gives_what_it_is_given():
    spec = load(EDGES.format(last="{kind: shuffle, inputs: mixed}"))
    assert spec.graph.nodes["last"].gives.types == (Pairs,)


def test_a_second_wrong_reference_in_a_list_is_told_at_its_own_place():
    found = told(EDGES.format(last="{kind: mean, inputs: [nothing, pairs]}"))
    assert [entry.split(": ")[0] for entry in found] == ["11:31", "11:40"]


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


class TestLoops:
    def test_the_steps_of_a_loop_see_those_around_it_and_its_item(self):
        spec = load("""\
            steps:
              loop:
                kind: for-each
                params:
                  values: [1, 2]
                  collect: [words]
                  steps:
                    words: {kind: count, inputs: {data: pairs, scale: item}}
              pairs: {kind: some-pairs}
              page: {kind: page, inputs: [loop, loop.words, loop.first]}
            """)
        loop = spec.graph.nodes["loop"]
        assert list(spec.graph.nodes) == ["pairs", "loop", "page"]
        assert loop.gives.types == (Features,)
        assert loop.body.nodes["words"].bound == {"scale": Ref("item")}
        assert loop.body.outer == (Ref("pairs"),)

    def test_problems_inside_are_positioned_like_all_others(self):
        assert told("""\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: for-each
                params:
                  values: [1]
                  collect: [words, nothing]
                  steps:
                    words:
                      kind: count
                      inputs: pears
                      params: {scael: 1}
            """) == [
            "11:19: steps.loop.params.steps.words.inputs: no step 'pears'; did you mean 'pairs'? "
            "(steps: pairs, loop, item)",
            "12:20: steps.loop.params.steps.words.params.scael: unknown field; "
            "did you mean 'scale'?",
        ]

    def test_a_wrong_loop_does_not_hide_what_is_wrong_inside(self):
        found = told("""\
            steps:
              loop:
                kind: repeat
                inputs: {data: pairs}
                params:
                  rounds: 0
                  carry: {data: words}
                  steps:
                    words: {kind: count, inputs: data, params: {scale: x}}
              pairs: {kind: some-pairs}
            """)
        assert [entry.split(": ")[1] for entry in found] == [
            "steps.loop.params.rounds",
            "steps.loop.params.steps.words.params.scale",
        ]

    def test_what_is_collected_must_be_a_table_of_a_step_inside(self):
        body = "steps: {m: {kind: teach, inputs: pairs}, w: {kind: count, inputs: pairs}}"
        text = "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], %s, " + body
        assert told(text % "collect: [w, mm]" + "}}\n") == [
            "3:61: steps.loop.params.collect.1: no step 'mm' inside the loop (steps: m, w)"
        ]
        assert told(text % "collect: [w, m]" + "}}\n") == [
            "3:61: steps.loop.params.collect.1: 'm' gives Checkpoint; only tables can be collected"
        ]

    def test_each_value_that_sets_a_parameter_is_checked(self):
        found = told("""\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: for-each
                params:
                  values: [1, 0, x, 2]
                  collect: [words]
                  steps:
                    words: {kind: count, inputs: {data: pairs, scale: item}}
                    mixed: {kind: teach, inputs: {data: pairs, seed: item}}
            """)
        inside = "steps.loop.params.steps"
        assert found == [
            f"9:59: {inside}.words.inputs.scale: must be more than 0.0, not 0",
            f"9:59: {inside}.words.inputs.scale: must be a number, not 'x'",
            f"10:58: {inside}.mixed.inputs.seed: "
            "a seed must be a whole number of 0 or more, not 'x'",
        ]

    @pytest.mark.parametrize(
        ("inputs", "problem"),
        [
            ("{data: pairs, scale: item.c}", "item.c: an item has no entry 'c'"),
            ("{data: pairs, scale: item.a.x}", "item.a.x: an item has no entry 'a.x'"),
            ("{data: pairs, scale: [item.a]}", "scale is a parameter: one value of a loop can"),
            ("{data: item}", "data takes Pairs | Responses, but item gives Value"),
        ],
    )
    def test_an_entry_of_an_item_can_set_a_parameter(self, inputs: str, problem: str):
        text = (
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {collect: [w], "
            "values: [{a: 1, b: x}, {a: 2, b: y}], steps: {w: {kind: count, inputs: %s}}}}"
        )
        assert told(text % "{data: pairs, scale: item.a, weights: item.b}") == []
        (found,) = told(text % inputs)
        assert problem in found

    def test_a_parameter_cannot_be_set_twice(self):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {collect: [w], values: [1], "
            "steps: {w: {kind: count, inputs: {data: pairs, scale: item}, params: {scale: 2}}}}}"
        )
        assert found.endswith("w.inputs.scale: scale is set twice: here and in params")

    def test_files_that_a_loop_names_are_found_and_checked(self, tmp_path: Path):
        (tmp_path / "a.jsonl").touch()
        text = (
            "steps: {loop: {kind: for-each, params: {collect: [p], values: [a.jsonl, b.jsonl], "
            "steps: {p: {kind: some-responses, inputs: {path: item}}}}}}"
        )
        (found,) = told(text, folder=tmp_path)
        assert f"p.inputs.path: no such file or folder: {tmp_path / 'b.jsonl'}; did you" in found
        (tmp_path / "b.jsonl").touch()
        node = load(text, folder=tmp_path).graph.nodes["loop"].body.nodes["p"]
        assert node.configured({"path": "b.jsonl"}).path == tmp_path / "b.jsonl"

    @pytest.mark.parametrize(
        ("loop", "problem"),
        [
            ("params: {%s}", "give either params.values or inputs.items, and not both"),
            (
                "inputs: pairs, params: {values: [1], %s}",
                "give either params.values or inputs.items, and not both",
            ),
            (
                "inputs: {items: [pairs], data: pairs}, params: {%s}",
                "no such input; steps inside can name 'data' directly",
            ),
            (
                "inputs: model, params: {%s}",
                "one step must give a table with a column 'item'; else list steps",
            ),
            ("params: {values: [1, 1], %s}", "1 is there 2 times"),
        ],
    )
    def test_a_loop_needs_items(self, loop: str, problem: str):
        body = "collect: [w], steps: {w: {kind: count, inputs: pairs}}"
        text = f"steps:\n{PAIRS}  model: {{kind: length-model}}\n  l: {{kind: for-each, "
        (found,) = told(text + loop % body + "}\n")
        assert found.endswith(": " + problem)

    @pytest.mark.parametrize(
        ("items", "problem"),
        [
            ("[pairs, mixed]", None),
            ("pairs", None),
            (
                "[pairs, words]",
                "data takes Pairs | Responses, but item gives Features; "
                "what fits here: pairs, mixed",
            ),
        ],
    )
    def test_items_are_steps_or_the_parts_of_a_table(self, items: str, problem: str | None):
        found = told(
            "steps:\n" + PAIRS + "  mixed: {kind: shuffle, inputs: pairs}\n"
            "  words: {kind: count, inputs: pairs}\n"
            f"  loop: {{kind: for-each, inputs: {items}, params: {{collect: [w], "
            "steps: {w: {kind: count, inputs: item}}}}\n"
        )
        assert [entry.split(": ", 2)[2] for entry in found] == ([problem] if problem else [])

    def test_columns_of_items_are_known_where_all_give_the_same(self):
        text = (
            "steps:\n" + PAIRS + "  a: {kind: count, inputs: pairs}\n"
            "  b: {kind: ask, inputs: {model: {model}, data: pairs}}\n"
            "  model: {kind: length-model}\n"
            "  loop: {kind: for-each, inputs: ITEMS, params: {collect: [m], "
            "steps: {m: {kind: mean, inputs: [item.x]}}}}\n"
        ).replace("{model}", "model")
        assert "no column 'x'" in told(text.replace("ITEMS", "[a]"))[0]
        assert told(text.replace("ITEMS", "[a, b]")) == []

    def test_what_a_round_gives_is_what_the_next_one_takes(self):
        text = """\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: repeat
                inputs: {data: pairs}
                params:
                  rounds: 3
                  carry: {data: NAME}
                  collect: [mixed]
                  steps:
                    mixed: {kind: shuffle, inputs: data}
                    words: {kind: count, inputs: mixed}
              page: {kind: page, inputs: [loop.data, loop.mixed]}
            """
        spec = load(text.replace("NAME", "mixed"))
        assert spec.graph.nodes["loop"].gives.results["data"].types == (Pairs,)
        assert told(text.replace("NAME", "words")) == [
            "8:21: steps.loop.params.carry.data: "
            "the first round takes Pairs, but 'words' gives Features"
        ]
        assert told(text.replace("NAME", "nothing")) == [
            "8:21: steps.loop.params.carry.data: "
            "no step 'nothing' inside the loop (steps: mixed, words)"
        ]
        assert told(text.replace("{data: pairs}", "{dat: pairs}").replace("NAME", "mixed")) == [
            "5:5: steps.loop.inputs: must name what the first round takes: data",
        ]

    def test_one_of_several_results_must_be_named(self):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], "
            "collect: [a, b], steps: {a: {kind: count, inputs: pairs}, "
            "b: {kind: count, inputs: a2}, a2: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop]}\n"
        )
        assert found == "4:28: steps.m.inputs.0: loop: name one of its results: a, b"

    @pytest.mark.parametrize("collect", ["[a]", "[a, b]"])
    def test_a_step_inside_that_is_not_collected_cannot_be_named(self, collect: str):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], collect: "
            f"{collect}, steps: {{a: {{kind: count, inputs: pairs}}, "
            "b: {kind: count, inputs: a2}, a2: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop.a2]}\n"
        )
        assert found == (
            "4:28: steps.m.inputs.0: loop.a2: the step 'a2' inside the loop is not collected: "
            "add it to collect"
        )

    def test_a_column_may_have_the_name_of_a_step_inside(self):
        text = (
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], collect: [a], "
            "steps: {a: {kind: count, inputs: first}, first: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop.first]}\n"
        )
        assert told(text) == []

    def test_loops_stand_in_loops(self):
        text = """\
            steps:
              outer:
                kind: for-each
                params:
                  values: [1, 2]
                  collect: [inner]
                  steps:
                    inner:
                      kind: for-each
                      params:
                        values: [3, 4]
                        collect: [words]
                        steps:
                          words: {kind: count, inputs: {data: DATA, scale: item}}
              pairs: {kind: some-pairs}
            """
        assert list(load(text.replace("DATA", "pairs")).graph.nodes) == ["pairs", "outer"]
        inner = "steps.outer.params.steps.inner.params.steps.words"
        assert told(text.replace("DATA", "pears")) == [
            f"14:51: {inner}.inputs.data: no step 'pears'; did you mean 'pairs'? "
            "(steps: outer, pairs, item, inner)"
        ]

    def test_a_loop_that_takes_itself_is_a_cycle(self):
        found = told(
            "steps: {loop: {kind: for-each, params: {values: [1], collect: [w], "
            "steps: {w: {kind: count, inputs: loop}}}}}"
        )
        assert found == ["1:9: steps.loop: steps need each other: loop → loop"]

    def test_a_cycle_through_the_steps_of_a_loop_is_named(self):
        found = told(
            "steps:\n  loop: {kind: for-each, params: {values: [1], collect: [w], "
            "steps: {w: {kind: count, inputs: mixed}}}}\n  mixed: {kind: shuffle, inputs: loop}\n"
        )
        assert found == ["2:3: steps.loop: steps need each other: loop → mixed → loop"]


class TestSubSpecs:
    def test_a_file_of_steps_is_read_once(self, tmp_path, monkeypatch):
        (tmp_path / "inner").mkdir()
        body = "steps: {words: {kind: count, inputs: {data: pairs, scale: item}}}"
        (tmp_path / "inner" / "body.yaml").write_text(body)
        files = []

        def counted(path):
            files.append(path.name)
            return read_source(path)

        monkeypatch.setattr("rmplug._spec.step_draft.read_source", counted)
        load(self.LOOP, folder=tmp_path)
        assert files == ["body.yaml"]

    LOOP = (
        "steps:\n  pairs: {kind: some-pairs}\n  loop: {kind: for-each, "
        "params: {values: [1, 2], collect: [words], steps: inner/body.yaml}}\n"
    )

    @staticmethod
    def write(folder: Path, **files: str) -> None:
        (folder / "inner").mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / "inner" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def test_the_steps_of_a_loop_may_be_a_file(self, tmp_path: Path):
        words = "steps:\n  words: {kind: count, inputs: {data: pairs, scale: item}}\n"
        self.write(tmp_path, body=words)
        assert list(load(self.LOOP, folder=tmp_path).graph.nodes["loop"].body.nodes) == ["words"]

    def test_problems_are_told_in_that_file(self, tmp_path: Path):
        self.write(tmp_path, body="steps:\n  words: {kind: cuont, inputs: pairs}\n")
        assert refusal(self.LOOP, folder=tmp_path) == (
            f"{tmp_path}/inner/body.yaml:2:17: steps.words.kind: "
            "unknown kind 'cuont'; did you mean 'count'?\n"
            "  2 |   words: {kind: cuont, inputs: pairs}\n"
            "    |                 ^^^^^"
        )

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path):
        assert refusal(self.LOOP, folder=tmp_path) == f"{tmp_path}/inner/body.yaml: no such file"

    def test_it_is_read_from_its_own_folder_and_its_needs_come_first(self, tmp_path: Path):
        inner = (
            "steps: {words: {kind: for-each, params: "
            "{values: [1], collect: [w], steps: deep.yaml}}}"
        )
        self.write(tmp_path, body=inner, deep="steps: {w: {kind: count, inputs: pairs}}")
        text = self.LOOP.replace("  pairs: {kind: some-pairs}\n", "") + PAIRS
        assert list(load(text, folder=tmp_path).graph.nodes) == ["pairs", "loop"]

    def test_a_file_inside_itself_is_refused(self, tmp_path: Path):
        again = "steps:\n  words:\n    kind: for-each\n    params: "
        self.write(tmp_path, body=again + "{values: [1], collect: [words], steps: body.yaml}")
        (found,) = told(self.LOOP, folder=tmp_path)
        assert found == "1:1: steps: this file is inside itself: the loop would never end"


def test_a_file_that_holds_no_spec_is_refused(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(SpecError, match="not a mapping: a spec begins with a key"):
        load_spec(path, KINDS)
