"""Heads from sums in float32: as precise as from float64, or not used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ridge_cases import PUBLISHED, RELATIVE, apart, by_hand, case, final, steep_states, table

from rmplug_armorm import MultiObjectiveRidge
from rmplug_armorm.heads._few_rows import FewRows
from rmplug_armorm.heads._gram import Precision
from rmplug_armorm.heads._heads_file import read_heads
from rmplug_armorm.heads._learning import Ridge
from rmplug_armorm.heads._refine import Imprecise
from rmplug_armorm.heads._ridge import Solved, learn_heads


def learnt(how: Ridge, states: np.ndarray, labels: np.ndarray, precision: Precision) -> Solved:
    """Heads by Gram matrices of this precision; all attributes here have rows enough."""
    source, read, cells, split = case(how, states, labels)
    few = FewRows.empty(source, read, np.isin(split.part, split.learnt(how.again)))
    assert not few.attributes
    return learn_heads(how, source, read, cells, split, few, precision)


@pytest.mark.parametrize("how", [RELATIVE, PUBLISHED], ids=["default", "published"])
def test_sums_in_float32_give_weights_as_precise_as_float64(how: Ridge) -> None:
    states, labels = steep_states()
    double, single = (learnt(how, states, labels, kind) for kind in (np.float64, np.float32))
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
    rough = learnt(RELATIVE, states, labels, np.float32)
    assert 1e-8 < apart(final(rough)[0], by_hand(RELATIVE, states, labels, rough)) < 1e-3


def test_strengths_that_float32_cannot_tell_apart_take_float64(tmp_path: Path) -> None:
    states, labels = steep_states()
    states[:, 300:] = states[:, :212]  # fewer directions than dimensions: singular but for alpha
    how = replace(PUBLISHED, alphas=(1e-4, 1e-3))
    with pytest.raises(Imprecise):
        learnt(how, states, labels, np.float32)
    names = {f"a{k}": {"column": f"a{k}"} for k in range(3)}
    step = MultiObjectiveRidge.model_validate(
        {"attributes": names, "alphas": how.alphas, "compat": "original"}
    )
    step.fit([table(states, labels)], [table(states, labels)], seed=0, directory=tmp_path)
    expected = final(learnt(how, states, labels, np.float64))[0]
    np.testing.assert_array_equal(read_heads(tmp_path).weight, expected)
