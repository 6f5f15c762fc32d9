"""Probes: planted directions are found, noise is not, and nothing is seen that was held out."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from planted_states import PAIRS, WIDTH, Planted, vectors
from sklearn.linear_model import LogisticRegression, Ridge

from rmplug import DataError, Features, Known, Pairs, PlanStep, PlanView
from rmplug.notices import collect_notices
from rmplug.stats.folds import deal_folds
from rmplug.testing import check_step
from rmplug_hf import Probe
from rmplug_hf.directions._directions_file import FILE, TENSORS, read_directions
from rmplug_hf.directions._fold_sums import FoldSums, Sums
from rmplug_hf.directions._places import places_of
from rmplug_hf.directions._probe_fits import Scaled, fit_probes
from rmplug_hf.directions._probing import SHUFFLED, _shuffle
from rmplug_hf.directions._targets import Target


@pytest.fixture(scope="module")
def planted():
    return Planted()


@pytest.fixture(scope="module")
def fit(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    return probe(planted.states, [planted.length, planted.truth], folder)


def probe(states, targets, folder, data=None, **params):
    folder.mkdir(exist_ok=True)
    step = Probe(**params)
    return step.fit([states], targets, data, seed=1, directory=folder, plan=None)


def row(fit, metric, subset, layer, model=None):
    [found] = [
        n
        for n in fit.numbers
        if (n["metric"], n["subset"], n["layer"], n.get("model")) == (metric, subset, layer, model)
    ]
    return found


def cosine(one, other):
    return abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other)


def test_it_conforms(planted):
    inputs = {"states": [planted.states], "target": [planted.length, planted.truth]}
    check_step(Probe, {"folds": 3, "l2": [0.1, 0.01]}, inputs, tolerance=1e-12)


def test_a_planted_direction_is_found_where_it_is(fit, planted):
    [three, five] = read_directions(fit.directory)
    assert (three.name, three.layer, five.name, five.layer) == (
        "states.layer-3", 3, "states.layer-5", 5,
    )  # fmt: skip
    length, truth = (three.targets[name].weights[0] for name in ("words.length", "facts.truth"))
    assert cosine(length, planted.of_length) > 0.95
    assert cosine(truth, planted.of_truth) > 0.95
    explained, auc = row(fit, "r2", "words.length", 3), row(fit, "auc", "facts.truth", 3)
    assert explained["low"] > 0.6 and explained["n"] == 2 * PAIRS
    assert auc["low"] > 0.9
    assert row(fit, "accuracy", "facts.truth", 3)["low"] > 0.8


def test_where_nothing_is_planted_a_probe_is_no_better_than_with_shuffled_labels(fit):
    for metric, name, chance in (("r2", "words.length", 0), ("auc", "facts.truth", 0.5)):
        found = row(fit, metric, name, 5)
        assert found["low"] < chance + 0.05 and found["value"] < chance + 0.05
        over = row(fit, f"{metric}-over-shuffled", name, 5)
        assert over["low"] < 0 < over["high"]


def test_shuffled_labels_are_at_chance_even_where_a_direction_is_planted(fit):
    explained = row(fit, "r2", "words.length", 3, SHUFFLED)
    assert abs(explained["value"]) < 0.05 and explained["kind"] == "baseline"
    assert row(fit, "auc", "facts.truth", 3, SHUFFLED)["value"] == pytest.approx(0.5, abs=0.1)
    majority = row(fit, "accuracy-of-majority", "facts.truth", 3)["value"]
    shuffled = row(fit, "accuracy", "facts.truth", 3, SHUFFLED)["value"]
    assert shuffled == pytest.approx(majority, abs=0.12)
    gained = row(fit, "r2-over-shuffled", "words.length", 3)
    assert gained["value"] == pytest.approx(
        row(fit, "r2", "words.length", 3)["value"] - explained["value"]
    )
    assert gained["low"] > 0.6


def test_a_fit_says_of_new_states_what_was_planted_in_them(fit):
    fresh = Planted()
    table = {"id": fresh.states["id"]}
    table |= {f"new.{name}": fresh.states[name] for name in fresh.states.values}
    told = fit.open().predict(pa.table(table))
    true = fresh.length["chosen.length"].to_numpy()
    assert np.corrcoef(told["chosen.states.layer-3.words.length"], true)[0, 1] > 0.85
    facts = fresh.truth["rejected.truth"].to_numpy()
    assert ((told["rejected.states.layer-3.facts.truth"] > 0.5) == facts).mean() > 0.85
    with pytest.raises(DataError, match="read states of states.layer-3, and there are"):
        fit.open().predict(pa.table({"id": ["a"], "words.length": [1.0]}))


@pytest.mark.parametrize("rows", [200, 20])
def test_weights_are_those_of_ridge_and_of_logistic_regression(rows):
    rng = np.random.default_rng(3)
    states = rng.normal(size=(rows, 30)) * rng.gamma(2, size=30) + 3
    number = states @ rng.normal(size=30) + rng.normal(size=rows) * 5
    targets = [Target("n", number), Target("c", (number > number.mean()) * 1.0, ("0", "1"))]
    scaled, fold = Scaled.of(states), deal_folds(np.arange(rows), 4, 0)
    ridge, logistic = fit_probes(scaled, targets, fold, [0.03])
    expected = Ridge(alpha=0.03 * rows).fit(scaled.rows, number)
    np.testing.assert_allclose(ridge.weights[0] * scaled.sizes, expected.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        states @ ridge.weights[0] + ridge.bias[0], expected.predict(scaled.rows), rtol=1e-6
    )
    expected = LogisticRegression(C=4 / (0.03 * rows), tol=1e-10, max_iter=5000).fit(
        scaled.rows, targets[1].values
    )
    given = states @ logistic.weights[0] + logistic.bias[0]
    np.testing.assert_allclose(given, expected.decision_function(scaled.rows), atol=0.02)
    held = fold == 2
    other = Ridge(alpha=0.03 * (~held).sum()).fit(scaled.rows[~held], number[~held])
    np.testing.assert_allclose(
        ridge.scores[held, 0], other.predict(scaled.rows[held]), rtol=1e-5, atol=1e-6
    )


def test_the_strength_for_a_fold_is_chosen_without_its_rows():
    rng = np.random.default_rng(4)
    z, y, fold = rng.normal(size=(60, 5)), rng.normal(size=(60, 2)), np.arange(60) % 3
    grid = np.array([1.0, 0.1])
    parts = tuple(Sums.over(z[fold == k], y[fold == k]) for k in range(3))
    losses = FoldSums(parts, (slice(0, 1), slice(1, 2))).losses(grid)
    for outer in range(3):
        for inner in {0, 1, 2} - {outer}:
            training = (fold != outer) & (fold != inner)
            for at, strength in enumerate(grid):
                model = Ridge(alpha=strength * training.sum()).fit(z[training], y[training])
                wrong = (model.predict(z[fold == inner]) - y[fold == inner]) ** 2
                np.testing.assert_allclose(losses[outer, inner, at], wrong.sum(axis=0), rtol=1e-8)
        assert (losses[outer, outer] == 0).all()


def test_shuffled_labels_stay_together_as_groups():
    groups = np.array([0, 0, 1, 2, 1, 2, 3, 3, 4, 4, 5, 5])
    target = Target("t", groups.astype(float))
    fold = (groups > 2).astype(int)
    shuffled = _shuffle(target, groups, fold, 0).values
    assert sorted(shuffled[fold == 0]) == sorted(groups[fold == 0])
    assert sorted(shuffled) == sorted(groups) and (shuffled != groups).any()
    assert all(len(set(shuffled[groups == g])) == 1 for g in range(6))


def test_labels_of_data_may_be_texts_of_several_classes(planted, tmp_path):
    words = ["cat", "dog", "eel"]
    of_prompt = [words[n // 2 % 3] for n in range(PAIRS)]
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, WIDTH)) * 2
    rows = rng.normal(size=(PAIRS, WIDTH)) + centres[[words.index(w) for w in of_prompt]]
    states = Features(pa.table({"id": planted.states["id"], "group": planted.states["group"],
                                "prompt": vectors(rows)}), "states")  # fmt: skip
    columns = {"id": planted.states["id"], "prompt": ["a"] * PAIRS, "chosen": ["b"] * PAIRS}
    data = Pairs(pa.table({**columns, "rejected": ["c"] * PAIRS, "kind": of_prompt}), "data")
    fit = probe(states, [], tmp_path, data, labels="kind")
    assert row(fit, "accuracy", "kind", None)["low"] > 0.9
    assert row(fit, "accuracy", "kind", None)["n"] == PAIRS
    told = fit.open().predict(pa.table({"id": states["id"], "s.prompt": states["prompt"]}))
    assert list(told) == ["kind.cat", "kind.dog", "kind.eel"]
    assert [max(told, key=lambda name, n=n: told[name][n])[5:] for n in (0, 2, 4)] == words


def test_the_layer_of_a_step_is_the_one_that_its_query_asked_for(planted):
    params = {"layer": 4, "pooling": "last"}
    of_step = {name: planted.states[f"{name}.layer-5"] for name in ("chosen", "rejected")}
    states = Features({"id": planted.states["id"], **of_step}, "asked")
    step = PlanStep("asked", "hidden-state", "query strategy", "", {}, params, "Features", 1, ())
    [place] = places_of([states], PlanView("run", 0, [step]))
    assert (place.name, place.layer, place.pooling) == ("asked", 4, "last")
    [place] = places_of([states], None)
    assert (place.layer, place.pooling) == (None, None)


def test_rows_without_a_target_are_left_out_and_named(planted, tmp_path):
    values = planted.length["chosen.length"].to_numpy().copy()
    values[:4] = np.nan
    holes = Features({"id": planted.length["id"], "chosen.length": values,
                      "rejected.length": planted.length["rejected.length"]}, "words")  # fmt: skip
    with collect_notices() as noticed:
        fit = probe(planted.states, [holes, planted.truth], tmp_path)
    [one] = noticed.values()
    assert (one.what, one.count, one.ids[0]) == ("words.length is missing", 4, "p0/chosen")
    assert row(fit, "r2", "words.length", 3)["n"] == 2 * PAIRS - 4
    assert row(fit, "auc", "facts.truth", 3)["n"] == 2 * PAIRS


def test_what_cannot_be_probed_is_refused_with_the_reason(planted, tmp_path):
    ids = planted.states["id"]
    same = Features(
        {"id": ids, "chosen.same": np.ones(PAIRS), "rejected.same": np.ones(PAIRS)}, "w"
    )
    with pytest.raises(DataError, match=r"the target w.same has one value in 300 rows"):
        probe(planted.states, [same], tmp_path)
    once = Features({"id": ids, "chosen.one": np.arange(PAIRS) == 3,
                     "rejected.one": np.zeros(PAIRS, bool)}, "w")  # fmt: skip
    with pytest.raises(DataError, match=r"the class true of w.one is in one group"):
        probe(planted.states, [once], tmp_path)
    few = Features(planted.states.table.slice(0, 4), "states")
    with pytest.raises(DataError, match=r"need rows of 3 groups \(prompts\) at least, there are 2"):
        probe(few, [planted.length], tmp_path)
    with pytest.raises(DataError, match="words has no vectors; give a step hidden-state"):
        probe(planted.length, [planted.length], tmp_path)


def test_check_tells_what_cannot_be_probed():
    words = Known((Features,), {"length": "number"}, step="words")
    faults = dict(Probe().mistakes({"states": [words]}))
    assert "words has no vectors" in faults["states.0"]
    assert "nothing to probe for" in faults["labels"]
    data = Known((Pairs,), {"subset": "text"}, step="pairs")
    states = Known((Features,), {"chosen": "vector"}, step="states")
    inputs = {"states": [states], "data": [data]}
    assert not list(Probe(labels="subset").mistakes(inputs))
    [(where, what)] = Probe(labels="subst").mistakes(inputs)
    assert where == "labels" and "did you mean 'subset'" in what


@pytest.mark.parametrize("change", ["format", "layer", "tensor", "nan"])
def test_a_folder_that_holds_no_directions_is_refused(fit, change, tmp_path):
    content = json.loads((fit.directory / FILE).read_text())
    tensors = (fit.directory / TENSORS).read_bytes()
    if change == "format":
        content["format"] = 9
    elif change == "layer":
        content["places"][0]["layer"] = "3"
    elif change == "tensor":
        content["targets"][0]["classes"] = ["a", "b", "c"]
    else:
        tensors = tensors[:-8] + np.array([np.nan]).tobytes()
    (tmp_path / FILE).write_text(json.dumps(content))
    (tmp_path / TENSORS).write_bytes(tensors)
    with pytest.raises(DataError, match="directions"):
        read_directions(tmp_path)
