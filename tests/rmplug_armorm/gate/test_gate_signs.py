"""Gates of attributes that count for a response in some prompts, and against it in others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from planted_gates import K, debias_fit, heads_fit, planted, trained, value

from rmplug import Pairs
from rmplug.notices import collect_notices
from rmplug_armorm import Gate
from rmplug_armorm.gate._gate_file import read_gate

QUICK = {"batch": 256, "hidden": 32, "layers": 2, "steps": 400}
SOFTMAX = {**QUICK, "temperature": [1.0]}
REMEDY = "a softmax over attributes cannot give such weights: write weights: signed"


def world(*types: dict[int, float], seed: int = 1):
    """Pairs of as many types of prompts, which weigh these attributes."""
    weights = np.zeros((len(types), K))
    for row, given in zip(weights, types, strict=True):
        row[list(given)] = list(given.values())
    return planted(3000, 32, len(types), seed, weights)


def without_subsets(truth):
    return Pairs(truth.pairs.table.drop_columns(["subset"]), "pairs")


def gate_of(folder, truth, **params):
    heads = heads_fit(folder / "heads", truth.weight)
    debias = debias_fit(folder / "debias", truth.transform)
    with collect_notices() as notices:
        gate = trained(folder / "gate", heads, truth, debias, **params)
    return gate, {found.what: found.ids for found in notices.values() if found.of == "attributes"}


@pytest.fixture(scope="module")
def opposite():
    return world({0: 0.7, 1: 0.3}, {0: -0.7, 1: -0.3})


@pytest.fixture(scope="module")
def softmax(opposite, tmp_path_factory):
    return gate_of(tmp_path_factory.mktemp("softmax"), opposite, **SOFTMAX)


@pytest.fixture(scope="module")
def signed(opposite, tmp_path_factory):
    return gate_of(tmp_path_factory.mktemp("signed"), opposite, **QUICK, weights="signed")


def test_signed_weights_follow_a_change_of_sign_that_a_softmax_cannot(softmax, signed):
    accuracy = {
        name: [value(gate.numbers, "accuracy", part) for part in ("all", "type-0", "type-1")]
        for name, (gate, _) in (("softmax", softmax), ("signed", signed))
    }
    assert accuracy["softmax"][0] < 0.66 and min(accuracy["softmax"][1:]) < 0.52
    assert min(accuracy["signed"]) > 0.8


def test_a_softmax_that_does_not_fit_says_so_and_what_would(softmax, signed):
    gate, notices = softmax
    assert notices == {f"weights of opposite sign for different prompts, held out; {REMEDY}":
                       ["a0", "a1"]}  # fmt: skip
    assert value(gate.numbers, "opposite-signs", model=None) == 2
    [sentence] = [n["sentence"] for n in gate.numbers if n["metric"] == "opposite-signs"]
    assert sentence.startswith(
        "On 600 held-out pairs, a0 counts for the chosen response in type-0 (weight +"
    )
    assert ") and against it in type-1 (weight -" in sentence
    assert sentence.endswith(f", and 1 more attribute likewise; {REMEDY}.")
    assert signed[1] == {}
    assert value(signed[0].numbers, "opposite-signs", model=None) == 2


def test_the_weights_of_both_signs_are_told_with_intervals(softmax):
    rows = {n["subset"]: n for n in softmax[0].numbers if n["metric"] == "weight-of-a0"}
    assert {"type-0", "type-1"} <= set(rows)
    assert 0 < rows["type-0"]["low"] < rows["type-0"]["value"] < rows["type-0"]["high"]
    assert rows["type-1"]["low"] < rows["type-1"]["value"] < rows["type-1"]["high"] < 0
    assert rows["type-0"]["n"] + rows["type-1"]["n"] == 600


def test_no_column_has_to_name_the_prompts(opposite, tmp_path):
    from dataclasses import replace

    truth = replace(opposite, pairs=without_subsets(opposite))
    gate, notices = gate_of(tmp_path, truth, **{**SOFTMAX, "steps": 20})
    assert list(notices.values()) == [["a0", "a1"]]
    segments = {n["subset"] for n in gate.numbers if n["metric"] == "weight-of-a0"}
    assert segments == {"prompts of learnt weight above 0", "prompts of learnt weight below 0"}


@pytest.mark.parametrize(
    "types", [({0: 0.7, 1: 0.3}, {0: 0.3, 1: 0.7}), ({0: 1.0}, {1: 1.0}), ({0: -1.0}, {0: -0.5})]
)
def test_other_orders_of_attributes_are_no_change_of_sign(types, tmp_path):
    gate, notices = gate_of(tmp_path, world(*types), **{**SOFTMAX, "steps": 20})
    assert value(gate.numbers, "opposite-signs", model=None) == 0
    assert notices == {}


def test_few_pairs_are_not_tested(opposite, tmp_path):
    from dataclasses import replace

    truth = replace(opposite, pairs=Pairs(opposite.pairs.table.slice(0, 300), "pairs"))
    gate, notices = gate_of(tmp_path, truth, **{**SOFTMAX, "steps": 20})
    assert "opposite-signs" not in {n["metric"] for n in gate.numbers}
    assert notices == {}


def test_a_signed_gate_is_kept_with_its_form_and_weighs_the_dead_with_nothing(signed, opposite):
    said = json.loads((signed[0].directory / "gate.json").read_text())
    assert said["kind"] == "network" and said["weights"] == "signed"
    prompts = opposite.states["prompt"].combine_chunks().flatten().to_numpy().reshape(3000, -1)
    weights = read_gate(signed[0].directory).weights(prompts[:200])
    assert (weights[:, 0] > 0).any() and (weights[:, 0] < 0).any()
    assert (weights[:, 4] == 0).all()
    assert not {"temperature", "scale"} & {n["metric"] for n in signed[0].numbers}


def test_a_linear_gate_may_be_signed(opposite, tmp_path):
    gate, _ = gate_of(tmp_path, opposite, **QUICK, gate="linear", weights="signed")
    assert value(gate.numbers, "accuracy") > 0.78


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"gate": "trees"}, "weights: signed does not go with gate: trees; leave one of them out"),
        (
            {"compat": "softmaxfix", "temperature": [10]},
            "weights: signed does not go with compat; leave one of them out",
        ),
        ({"entropy": [0.1]}, "entropy is that of a softmax; leave it out with weights: signed"),
    ],
)
def test_what_belongs_to_a_softmax_is_refused(params, said):
    with pytest.raises(ValueError, match=said):
        Gate(weights="signed", **params)
