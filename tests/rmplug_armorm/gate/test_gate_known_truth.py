"""Gates trained on preferences whose gate is known."""

from __future__ import annotations

import numpy as np
import pytest
from planted_gates import ENTROPY, VERBOSITY, K, debias_fit, heads_fit, planted, trained, value

from rmplug_armorm.gate._gate_file import read_gate

QUICK = {"batch": 256, "hidden": 32, "layers": 2, "steps": 400, "temperature": [1.0]}


@pytest.fixture(scope="module")
def truth():
    return planted(3000, 32, 3, seed=1)


@pytest.fixture(scope="module")
def parts(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return heads_fit(folder / "heads", truth.weight), debias_fit(folder / "debias", truth.transform)


@pytest.fixture(scope="module")
def gate(truth, parts, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("gate") / "mlp", parts[0], truth, parts[1], **QUICK)


def test_a_gate_finds_the_weights_that_made_the_preferences(gate, truth):
    assert value(gate.numbers, "accuracy") > truth.right.mean() - 0.03
    assert value(gate.numbers, "entropy") == pytest.approx(ENTROPY, abs=0.3)
    assert value(gate.numbers, "scale") == pytest.approx(3, abs=0.8)
    share = value(gate.numbers, "entropy") / np.log(K)
    assert value(gate.numbers, "entropy-share") == pytest.approx(share)


def test_weights_that_know_no_prompt_are_worse_and_told_beside(gate):
    constant = value(gate.numbers, "accuracy", model="constant-weights")
    equal = value(gate.numbers, "accuracy", model="equal-weights")
    assert 0.5 < equal < constant < value(gate.numbers, "accuracy") - 0.05
    [apart] = [
        n for n in gate.numbers if n.get("other") == "constant-weights" and n["subset"] == "all"
    ]
    assert apart["value"] == pytest.approx(value(gate.numbers, "accuracy") - constant)
    assert 0 < apart["low"] < apart["value"] < apart["high"]


def test_numbers_are_told_for_each_subset_with_intervals(gate):
    kinds = {n["subset"] for n in gate.numbers if n["metric"] == "accuracy"}
    assert kinds == {"all", "type-0", "type-1", "type-2"}
    [whole] = [
        n
        for n in gate.numbers
        if n["metric"] == "accuracy" and n["subset"] == "all" and n["model"] == "gate"
    ]
    assert whole["n"] == 600 and whole["low"] < whole["value"] < whole["high"]
    assert {n["kind"] for n in gate.numbers if "model" in n} == {"model", "baseline"}


def test_a_confound_that_debiasing_took_out_gets_no_weight(gate, truth):
    found = read_gate(gate.directory).weights(np.zeros((1, 32)))
    assert found[0, VERBOSITY] == 0
    assert found.sum() == pytest.approx(value(gate.numbers, "scale"), rel=1e-5)


def test_a_linear_gate_is_enough_for_prompts_of_separate_types(truth, parts, tmp_path):
    params = {**QUICK, "gate": "linear"}
    gate = trained(tmp_path / "linear", parts[0], truth, parts[1], **params)
    assert value(gate.numbers, "accuracy") > truth.right.mean() - 0.04
    assert len(read_gate(gate.directory).layers) == 1


def test_without_debiasing_a_gate_is_worse(truth, parts, gate, tmp_path):
    raw = trained(tmp_path / "raw", parts[0], truth, None, **QUICK)
    assert value(raw.numbers, "log-loss") > value(gate.numbers, "log-loss") + 0.01


def test_an_entropy_weight_spreads_the_gate_and_the_best_of_a_grid_is_taken(
    truth, parts, gate, tmp_path
):
    spread = trained(
        tmp_path / "one", parts[0], truth, parts[1], **{**QUICK, "steps": 150}, entropy=[0.3]
    )
    assert value(spread.numbers, "entropy") > value(gate.numbers, "entropy") + 0.3
    params = {**QUICK, "steps": 150, "entropy": [0.3, 0.0]}
    grid = trained(tmp_path / "two", parts[0], truth, parts[1], **params)
    assert value(grid.numbers, "entropy-weight") == 0
    assert value(grid.numbers, "validation-loss") < value(spread.numbers, "validation-loss")


def test_constant_weights_are_those_of_logistic_regression(truth, parts, tmp_path):
    from sklearn.linear_model import LogisticRegression

    params = {"gate": "constant", "l2": 1e-6, "held_out": 0.2, "validation": 0.1}
    gate = trained(tmp_path / "constant", parts[0], truth, parts[1], **params)
    found = read_gate(gate.directory).weights(np.zeros((1, 32)))[0]
    chosen, rejected = truth.rewards
    lead = (chosen - rejected) @ truth.transform
    used = np.delete(np.arange(K), VERBOSITY)
    both = np.concatenate([lead, -lead])[:, used]
    label = np.repeat([1, 0], len(lead))
    expected = LogisticRegression(C=1e6, fit_intercept=False).fit(both, label).coef_[0]
    assert found[VERBOSITY] == 0
    # fitted on seven tenths of the pairs, so near and not equal
    np.testing.assert_allclose(found[used], expected, atol=0.2)
    assert value(gate.numbers, "accuracy") == value(
        gate.numbers, "accuracy", model="constant-weights"
    )


def test_trees_are_antisymmetric_additive_and_say_their_rules(truth, parts, tmp_path):
    gate = trained(tmp_path / "trees", parts[0], truth, parts[1], gate="trees")
    trees = read_gate(gate.directory)
    chosen, rejected = (side @ truth.transform for side in truth.rewards)
    prompts = np.zeros((50, 32))
    lead = trees.margins(chosen[:50], rejected[:50], prompts)
    np.testing.assert_allclose(lead, -trees.margins(rejected[:50], chosen[:50], prompts), atol=1e-9)
    raw = trees.booster.predict((chosen - rejected)[:50], raw_score=True)
    other = trees.booster.predict((rejected - chosen)[:50], raw_score=True)
    np.testing.assert_allclose(lead, (raw - other) / 2, atol=1e-9)
    assert value(gate.numbers, "accuracy") > 0.6
    rules = (gate.directory / "rules.txt").read_text().splitlines()
    assert rules[1] == "tree 1" and rules[2].startswith("  if a")
    assert sum(line.startswith("tree ") for line in rules) == value(gate.numbers, "trees")
