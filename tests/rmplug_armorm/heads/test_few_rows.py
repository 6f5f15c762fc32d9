"""Heads of attributes with fewer rows than dimensions: those of least squares on the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ridge_cases import PUBLISHED, RELATIVE, apart, by_hand, case, final, steep_states, table

from rmplug import DataError
from rmplug_armorm import MultiObjectiveRidge
from rmplug_armorm.heads._few_rows import FewRows
from rmplug_armorm.heads._learning import Ridge
from rmplug_armorm.heads._ridge import LEAST_WIDTH, learn_heads, solve
from rmplug_armorm.heads._splits import original_split

WIDTH = LEAST_WIDTH
BOTH = pytest.mark.parametrize("how", [RELATIVE, PUBLISHED], ids=["default", "published"])


def with_rows(how: Ridge, *counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Steep states and labels of three attributes, present at random in so many of the rows that
    are learnt from, and in some that are not."""
    states, labels = steep_states()
    labels[:] = np.nan_to_num(labels) + np.linspace(0, 1, len(labels))[:, None]
    rng = np.random.default_rng(1)
    learnt = np.full(len(labels), True) if how.again else original_split(len(labels)).part != 0
    for k, count in enumerate(counts):
        missing = rng.permutation(np.flatnonzero(learnt))[count:]
        labels[missing, k] = np.nan
    return states, labels


@BOTH
def test_weights_are_exact_with_fewer_rows_than_dimensions_as_many_and_more(how: Ridge) -> None:
    states, labels = with_rows(how, 300, WIDTH, 1600)
    solved = solve(how, *case(how, states, labels))
    assert [group.attributes for group in solved.final.groups] == [(2,)]  # the rest is in float32
    for number in [None] if how.again else range(len(how.alphas)):
        chosen = solved if number is None else replace(solved, best=np.array([number] * 3))
        exact = by_hand(how, states, labels, chosen)
        assert apart(final(chosen)[0][:2], exact[:2]) < 1e-9
        if number is None or chosen.best[2] == solved.best[2]:
            assert apart(final(chosen)[0], exact) < 1e-9


@BOTH
def test_offsets_and_held_out_errors_are_those_of_gram_matrices(how: Ridge) -> None:
    how = replace(how, alphas=how.alphas[4:])
    states, labels = with_rows(how, 200, 300, WIDTH)
    source, read, cells, split = case(how, states, labels)
    few = FewRows.empty(source, read, np.isin(split.part, split.learnt(how.again)))
    by_gram = learn_heads(how, source, read, cells, split, replace(few, alike=[]), np.float64)
    by_rows = solve(how, source, read, cells, split)
    np.testing.assert_allclose(by_rows.held.losses(), by_gram.held.losses(), rtol=1e-7)
    np.testing.assert_allclose(by_rows.held.means, by_gram.held.means, rtol=1e-12)
    assert by_rows.best.tolist() == by_gram.best.tolist()
    np.testing.assert_allclose(final(by_rows)[1], final(by_gram)[1], rtol=1e-7)
    assert apart(final(by_rows)[0], final(by_gram)[0]) < 1e-9


def test_states_in_float64_are_kept_where_they_take_no_more_than_a_gram_matrix() -> None:
    states, labels = with_rows(RELATIVE, 200, 300, WIDTH + 1)
    for kind, expected in ((np.float32, {0, 1}), (np.float64, {0})):
        source, read, *_ = case(RELATIVE, states.astype(kind), labels)
        few = FewRows.empty(source, read, np.full(len(labels), True))
        assert few.attributes == expected
        assert few.states.nbytes <= len(expected) * 8 * WIDTH * (WIDTH + 1) // 2


def test_states_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    rated = table(np.ones((40, 64)), np.linspace(0, 1, 40)[:, None])
    step = MultiObjectiveRidge.model_validate({"attributes": {"a0": {"column": "a0"}}})
    with pytest.raises(DataError, match="all states are the same: nothing can be learnt"):
        step.fit([rated], [rated], seed=0, directory=tmp_path)
