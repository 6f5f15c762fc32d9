"""Attribute heads: the published numbers in parity mode, and what the default promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from attribute_cases import features, planted, reference_case, values

from rmplug import DataError, Features, Fit, Responses, join
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_responses
from rmplug_armorm import Attribute, EmbeddingsFile, MultiObjectiveRidge
from rmplug_armorm.heads._heads_file import read_heads

NINETEEN = [f"a{k}" for k in range(19)]


def step(*names: str, **params: Any) -> MultiObjectiveRidge:
    """Heads for columns of these names, labels in their declared range of 0 to 1."""
    attributes = {name: {"column": name} for name in names}
    return MultiObjectiveRidge.model_validate({"attributes": attributes, **params})


def table(states: np.ndarray, labels: np.ndarray, groups: list[str] | None = None) -> Features:
    named = {f"a{k}": labels[:, k] for k in range(labels.shape[1])}
    return features({"response": states, **named}, "rated", groups)


def fitted(which: MultiObjectiveRidge, data: Features, folder: Path) -> Fit:
    return which.fit([data], [data], seed=0, directory=folder)


@pytest.mark.parametrize("name", ["stage1_random", "stage1_source_bf16_2shards", "stage1_wide"])
def test_parity_gives_the_published_alphas_errors_and_weights(name: str, tmp_path: Path) -> None:
    import torch

    folder = reference_case(name)
    read = EmbeddingsFile(path=sorted(folder.glob("mo-*")), attributes=NINETEEN).compute()
    read = Features(read.table, "mo")
    expected = json.loads((folder / "expected.json").read_text())
    fit = fitted(step(*NINETEEN, compat="original"), read, tmp_path)
    assert list(values(fit.numbers, "alpha").values()) == expected["best_alpha"]
    errors = list(values(fit.numbers, "mse").values())
    np.testing.assert_allclose(errors, expected["best_loss"], rtol=0, atol=1e-6)
    every = np.array(fit.tables["losses"]["mse"]).reshape(19, 9)
    np.testing.assert_allclose(every, expected["loss"], rtol=0, atol=2e-6)
    published = torch.load(folder / "regression_weights.pt", weights_only=True)["weight"].numpy()
    weight = read_heads(tmp_path).weight
    apart = np.linalg.norm(weight - published, axis=1) / np.linalg.norm(published, axis=1)
    assert apart.max() < 1e-5
    exact = np.load(folder / "weights_float64.npy")
    np.testing.assert_allclose(weight, exact, rtol=0, atol=1e-10)


def test_planted_heads_are_found_again(tmp_path: Path) -> None:
    states, labels, weights = planted(rows=600, noise=0.01)
    fit = fitted(step("a0", "a1", "a2"), table(states, labels), tmp_path)
    np.testing.assert_allclose(read_heads(tmp_path).weight, weights.T, atol=0.01)
    assert min(values(fit.numbers, "r2").values()) > 0.99


def test_held_out_errors_are_those_of_fitting_each_fold_by_hand(tmp_path: Path) -> None:
    from rmplug_armorm.heads._splits import grouped_split

    states, labels, _ = planted(rows=100, attributes=1)
    fit = fitted(step("a0", alphas=[0.01]), table(states, labels), tmp_path)
    split = grouped_split(np.arange(100), np.ones((100, 1), bool), 5, 0)
    errors = np.empty(100)
    for part in range(5):
        rest, here = split.part != part, split.part == part
        centre, mean = states[rest].mean(axis=0), labels[rest, 0].mean()
        x = states[rest] - centre
        penalty = 0.01 * (x**2).sum() * np.eye(12)
        w = np.linalg.solve(x.T @ x + penalty, x.T @ (labels[rest, 0] - mean))
        errors[here] = labels[here, 0] - mean - (states[here] - centre) @ w
    [mse] = values(fit.numbers, "mse").values()
    assert mse == pytest.approx(np.mean(errors**2), rel=1e-6)


def test_all_rows_are_learnt_in_the_end(tmp_path: Path) -> None:
    states, labels, _ = planted(rows=80, attributes=1)
    fitted(step("a0", alphas=[0.1]), table(states, labels), tmp_path)
    x, y = states - states.mean(axis=0), labels[:, 0] - labels[:, 0].mean()
    w = np.linalg.solve(x.T @ x + 0.1 * (x**2).sum() * np.eye(12), x.T @ y)
    np.testing.assert_allclose(read_heads(tmp_path).weight[0], w, rtol=1e-9)


def test_labels_are_scaled_by_the_range_that_is_declared(tmp_path: Path) -> None:
    states, labels, _ = planted(attributes=1)
    attribute = Attribute(column="a0", low=-10, high=10)
    which = MultiObjectiveRidge(attributes={"good": attribute})
    fit = fitted(which, table(states, labels), tmp_path)
    found = fit.open().predict(join([table(states, labels)]).table)["good"]
    assert np.corrcoef(found, labels[:, 0])[0, 1] > 0.98
    np.testing.assert_allclose(found.mean(), (labels.mean() + 10) / 20, atol=1e-9)
    heads = read_heads(tmp_path)
    np.testing.assert_allclose(heads.labels(heads.rewards(states)).mean(), labels.mean())


def test_a_missing_label_counts_nowhere(tmp_path: Path) -> None:
    states, labels, _ = planted(rows=200, attributes=2)
    some = labels.copy()
    some[100:, 1] = np.nan
    fit = fitted(step("a0", "a1", alphas=[0.01]), table(states, some), tmp_path)
    both = read_heads(tmp_path).weight
    fitted(step("a1", alphas=[0.01]), table(states[:100], labels[:100]), tmp_path)
    np.testing.assert_allclose(both[1], read_heads(tmp_path).weight[0], rtol=1e-9)
    assert values(fit.numbers, "labels") == {"a0": 200, "a1": 100}


def test_data_sets_with_other_attributes_are_learnt_together(tmp_path: Path) -> None:
    states, labels, _ = planted(rows=400, attributes=2)
    names = [f"row {row}" for row in range(200)]
    first = Features({"id": names, "response": states[:200]}, "states-one")
    second = Features({"id": names[::-1], "response": states[200:][::-1]}, "states-two")
    rated = [
        Features({"id": names, "a": labels[:200, 0]}, "one"),
        Features({"id": names, "a": labels[200:, 0] * 10, "b": labels[200:, 1]}, "two"),
    ]
    which = MultiObjectiveRidge.model_validate(
        {
            "attributes": {
                "a": {"column": "a", "of": "one"},
                "ten": {"column": "a", "of": "two", "high": 10},
                "b": {"column": "b"},
            }
        }
    )
    fit = which.fit([first, second], rated, seed=0, directory=tmp_path)
    assert values(fit.numbers, "labels") == {"a": 200, "ten": 200, "b": 200}
    heads = read_heads(tmp_path)
    np.testing.assert_allclose(heads.weight[0], heads.weight[1], atol=0.05)


def test_prompts_are_not_split_between_learning_and_measuring(tmp_path: Path) -> None:
    """States that name the prompt, with a rating that belongs to it, teach nothing of others."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(60), 4)
    states = np.eye(60)[prompt] + 0.01 * rng.standard_normal((240, 60))
    data = table(states, rng.standard_normal(60)[prompt][:, None], [str(p) for p in prompt])
    grouped = values(fitted(step("a0"), data, tmp_path).numbers, "r2")["a0"]
    leaking = values(fitted(step("a0", compat="original"), data, tmp_path).numbers, "r2")["a0"]
    assert grouped < 0.05
    assert leaking > 0.9


def test_an_offset_is_learnt_and_not_penalised(tmp_path: Path) -> None:
    states, labels, _ = planted(attributes=1)
    data = table(states, labels + 100)
    found = fitted(step("a0", alphas=[10.0]), data, tmp_path)
    predicted = found.open().predict(data.table)["a0"]
    assert predicted.mean() == pytest.approx(100 + labels.mean(), abs=1e-6)
    none = fitted(step("a0", alphas=[10.0], intercept=False), data, tmp_path)
    assert values(none.numbers, "mse")["a0"] > 50 * values(found.numbers, "mse")["a0"]


def test_an_alpha_at_the_edge_of_the_grid_is_said(tmp_path: Path) -> None:
    states, labels, _ = planted(attributes=1)
    with collect_notices() as notices:
        fit = fitted(step("a0", alphas=[5.0, 50.0]), table(states, labels), tmp_path)
    assert values(fit.numbers, "alpha-at-edge") == {"a0": 1}
    [notice] = [n for n in notices.values() if "edge" in n.what]
    assert notice.what == "the best alpha is at the edge of the grid 5 … 50"
    assert notice.ids == ["a0"]


def test_errors_stand_beside_those_of_the_mean_and_of_the_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 400, 300)
    rated = Responses(
        {
            "id": [str(row) for row in range(300)],
            "prompt": [f"question {row}" for row in range(300)],
            "response": ["x" * count for count in lengths],
            "ratings.long": np.log1p(lengths) / 6 + 0.02 * rng.standard_normal(300),
        },
        "rated",
    )
    states = Features({"id": rated["id"], "response": rng.standard_normal((300, 4))}, "states")
    which = MultiObjectiveRidge(attributes={"long": Attribute(column="ratings.long")})
    numbers = which.fit([states], [rated], seed=0, directory=tmp_path).numbers
    found = {row["metric"]: row for row in numbers}
    assert found["spearman-of-length"]["value"] > 0.9
    assert abs(found["spearman"]["value"]) < 0.2
    assert found["mse-of-length"]["value"] < 0.2 * found["mse-of-mean"]["value"]
    assert found["mse"]["low"] < found["mse"]["value"] < found["mse"]["high"]
    assert found["mse"]["n"] == 300


def test_an_interval_holds_the_error_of_new_rows_nine_times_in_ten(tmp_path: Path) -> None:
    held = 0
    for seed in range(20):
        states, labels, _ = planted(rows=200, width=4, attributes=1, seed=seed)
        fit = fitted(step("a0", alphas=[1e-4]), table(states, labels), tmp_path)
        [row] = [row for row in fit.numbers if row["metric"] == "mse"]
        held += row["low"] < 0.01 * (1 + 5 / 160) < row["high"]
    assert held >= 17


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """The largest matrix that is made is that of a batch or the Gram matrix, not of all rows."""
    from rmplug_armorm.heads._states import StateBatches

    states, labels, _ = planted(rows=80_000, width=8, attributes=1)
    sizes = [len(part) for _, part in StateBatches((table(states, labels),), "response").batches()]
    assert sizes == [32_768, 32_768, 14_464]


def test_predicting_needs_no_more_than_the_column_of_states(tmp_path: Path) -> None:
    states, labels, _ = planted()
    fit = fitted(step("a0", "a2"), table(states, labels), tmp_path)
    other = Features({"id": ["x", "y"], "response": states[:2]}, "states-of-test")
    found = fit.open().predict(join([other]).table)
    assert list(found) == ["a0", "a2"]
    np.testing.assert_allclose(found["a2"], read_heads(tmp_path).rewards(states[:2])[:, 1])
    with pytest.raises(DataError, match="the heads read one column 'response' of 12 numbers"):
        fit.open().predict(join([features({"response": states[:, :5]}, "narrow")]).table)


def test_an_attribute_without_labels_is_named(tmp_path: Path) -> None:
    states, labels, _ = planted(attributes=2)
    labels[:, 1] = np.nan
    with pytest.raises(DataError, match=r"attribute a1 has labels in 0 groups \(prompts\) and"):
        fitted(step("a0", "a1"), table(states, labels), tmp_path)
    with pytest.raises(DataError, match="attribute a7: no data set has a column 'a7'; there is id"):
        fitted(step("a7"), table(states, labels), tmp_path)


def test_an_attribute_that_a_split_leaves_without_labels_is_named(tmp_path: Path) -> None:
    states, labels, _ = planted(rows=20, attributes=2)
    held = np.random.RandomState(42).permutation(20)[:4]
    learnt = np.setdiff1d(np.arange(20), held)
    for rows, said in ((held, "no label left to learn from"), (learnt, "no label among the rows")):
        some = labels.copy()
        some[learnt if rows is held else held, 1] = np.nan
        with pytest.raises(DataError, match=f"attribute a1 has {said}"):
            fitted(step("a0", "a1", compat="original"), table(states, some), tmp_path)


def test_states_and_data_must_belong_together(tmp_path: Path) -> None:
    states, labels, _ = planted(attributes=1)
    data = table(states, labels)
    with pytest.raises(DataError, match="come from 1 steps and labels from 2"):
        step("a0").fit([data], [data, data], seed=0, directory=tmp_path)
    other = Features({"id": ["x", "y"], "a0": [0.1, 0.2]}, "other")
    with pytest.raises(DataError, match="rated and other have no id in common"):
        step("a0").fit([data], [other], seed=0, directory=tmp_path)
    plain = features({"a0": labels[:, 0]}, "plain")
    with pytest.raises(DataError, match="plain has no vector column 'response'"):
        step("a0").fit([plain], [plain], seed=0, directory=tmp_path)


@pytest.mark.parametrize("width", [12, 300])
def test_states_that_are_not_numbers_are_named(width: int, tmp_path: Path) -> None:
    states, labels, _ = planted(rows=100, width=width, attributes=1)
    states[17, 3] = np.nan
    with pytest.raises(DataError, match=r"response is not finite in 1 states \(17\)"):
        fitted(step("a0"), table(states, labels), tmp_path)


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    states, labels, _ = planted(rows=60, attributes=1)
    labels[:2] = 5.0
    known = Features(table(states, labels).table.slice(0, 50), "states")
    with collect_notices() as notices:
        step("a0").fit([known], [table(states, labels)], seed=0, directory=tmp_path)
    found = {n.what: n.count for n in notices.values()}
    assert found["rows without a state"] == 10
    assert found["a0 is outside its declared range 0 to 1"] >= 2


def test_a_range_must_go_up() -> None:
    with pytest.raises(ValueError, match=r"low \(4\) must be below high \(1\)"):
        Attribute(column="a", low=4, high=1)


def test_the_kind_keeps_all_promises_of_a_step() -> None:
    data = small_responses(40)
    rng = np.random.default_rng(0)
    states = Features({"id": data["id"], "response": rng.standard_normal((40, 3))}, "states")
    states = Features(states.table.append_column("group", pa.array(data["group"])), "states")
    check_step(
        MultiObjectiveRidge,
        {"attributes": {"helpful": {"column": "ratings.helpfulness", "low": 0, "high": 5}}},
        {"states": [states], "data": [data]},
        tolerance=1e-12,
    )
