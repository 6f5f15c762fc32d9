"""Edges between steps: those that fit, and those that are refused where they are written."""

from __future__ import annotations

import pytest
from check_specs import load, refusal, told

from rmplug import Pairs

PAIRS = "  pairs: {kind: some-pairs}\n"
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
