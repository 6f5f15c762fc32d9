"""Heads from sums in float32: as precise as from float64, or not used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attribute_cases import features, planted

from rmplug_armorm import MultiObjectiveRidge
from rmplug_armorm.heads._gram import RowCells, cells_of
from rmplug_armorm.heads._heads_file import read_heads
from rmplug_armorm.heads._labels import AttributeLabels, LabelColumn, read_labels
from rmplug_armorm.heads._learning import Ridge
from rmplug_armorm.heads._refine import Imprecise
from rmplug_armorm.heads._ridge import GRID, LEAST_WIDTH, Solved, _solve
from rmplug_armorm.heads._splits import HeldOutSplit, grouped_split, original_split
from rmplug_armorm.heads._states import StateBatches

RELATIVE = Ridge(GRID, intercept=True, relative=True, again=True)
PUBLISHED = Ridge(tuple(10.0**k for k in range(-4, 5)), False, False, False)
Case = tuple[StateBatches, AttributeLabels, RowCells, HeldOutSplit]


def steep_states(rows: int = 2400, width: int = LEAST_WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """States in float32 of a falling spectrum, far from zero as those of language models are, and
    labels that are missing in turns."""
    states, labels, _ = planted(rows, width, attributes=3)
    states = ((states + 20) * np.geomspace(1, 1 / 30, width)).astype(np.float32)
    labels[np.arange(rows) % 3 == 0, 0] = np.nan
    labels[np.arange(rows) % 3 > 0, 1:] = np.nan
    return states, labels


def table(states: np.ndarray, labels: np.ndarray) -> Any:
    named = {f"a{k}": labels[:, k] for k in range(labels.shape[1])}
    return features({"response": states, **named}, "rated")


def case(how: Ridge, states: np.ndarray, labels: np.ndarray) -> Case:
    data = [table(states, labels)]
    read = read_labels({f"a{k}": LabelColumn(f"a{k}") for k in range(labels.shape[1])}, data, data)
    split = (
        grouped_split(read.groups, read.labelled, 2, 0)
        if how.again
        else original_split(len(labels))
    )
    source = StateBatches(tuple(data), "response")
    return source, read, cells_of(read.labelled, split.part, source.width), split


def final(solved: Solved) -> tuple[np.ndarray, np.ndarray]:
    """The weights (K, width) and offsets (K,) at the strengths that are best."""
    every = np.arange(len(solved.best))
    return solved.final.weights[solved.best, :, every], solved.final.offsets[solved.best, every]


def by_hand(how: Ridge, states: np.ndarray, labels: np.ndarray, solved: Solved) -> np.ndarray:
    """The weights (K, width) by least squares on the rows themselves, at the same strengths."""
    weights = []
    for k, best in enumerate(solved.best.tolist()):
        rows = ~np.isnan(labels[:, k])
        if not how.again:
            rows &= original_split(len(labels)).part != 0
        x, y = states[rows].astype(float), labels[rows, k]
        if how.intercept:
            x, y = x - x.mean(axis=0), y - y.mean()
        penalty = how.alphas[best] * ((x**2).sum() if how.relative else 1)
        stacked = np.vstack([x, np.sqrt(penalty) * np.eye(x.shape[1])])
        weights.append(np.linalg.lstsq(stacked, np.append(y, np.zeros(x.shape[1])))[0])
    return np.array(weights)


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The greatest distance between the weights of an attribute, relative."""
    lengths = np.linalg.norm(expected, axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / lengths).max())


@pytest.mark.parametrize("how", [RELATIVE, PUBLISHED], ids=["default", "published"])
def test_sums_in_float32_give_weights_as_precise_as_float64(how: Ridge) -> None:
    states, labels = steep_states()
    parts = case(how, states, labels)
    double, single = (_solve(how, *parts, precision) for precision in (np.float64, np.float32))
    assert single.final.groups and not double.final.groups
    assert single.best.tolist() == double.best.tolist()
    exact = by_hand(how, states, labels, double)
    assert apart(final(single)[0], exact) < 1e-9
    assert apart(final(double)[0], exact) < 1e-9
    np.testing.assert_allclose(final(single)[1], final(double)[1], rtol=1e-9)
    np.testing.assert_allclose(single.held.losses(), double.held.losses(), rtol=1e-3)


def test_sums_in_float32_alone_would_be_less_precise(monkeypatch: pytest.MonkeyPatch) -> None:
    states, labels = steep_states()
    monkeypatch.setattr("rmplug_armorm.heads._ridge.refine", lambda *_: None)
    rough = _solve(RELATIVE, *case(RELATIVE, states, labels), np.float32)
    assert 1e-8 < apart(final(rough)[0], by_hand(RELATIVE, states, labels, rough)) < 1e-3


def test_strengths_that_float32_cannot_tell_apart_take_float64(tmp_path: Path) -> None:
    states, labels = steep_states(rows=300)  # fewer rows than dimensions: singular but for alpha
    how = replace(PUBLISHED, alphas=(1e-4, 1e-3))
    parts = case(how, states, labels)
    with pytest.raises(Imprecise):
        _solve(how, *parts, np.float32)
    names = {f"a{k}": {"column": f"a{k}"} for k in range(3)}
    step = MultiObjectiveRidge.model_validate(
        {"attributes": names, "alphas": how.alphas, "compat": "original"}
    )
    step.fit([table(states, labels)], [table(states, labels)], seed=0, directory=tmp_path)
    expected = final(_solve(how, *parts, np.float64))[0]
    np.testing.assert_array_equal(read_heads(tmp_path).weight, expected)
