"""Gram matrices for any pattern of missing labels, and ridge weights for many strengths."""

from __future__ import annotations

import numpy as np
import pytest
from attribute_cases import planted

from rmplug_armorm.heads import _ridge_path
from rmplug_armorm.heads._few_rows import FewRows
from rmplug_armorm.heads._gram import GramSums, cells_of, rank_update, square
from rmplug_armorm.heads._learning import gather, total
from rmplug_armorm.heads._ridge_path import ridge_path, to_band
from rmplug_armorm.heads._splits import grouped_split, original_split


def gram_of(states: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(states.T @ states)


def sums_by_attribute(states: np.ndarray, labels: np.ndarray, part: np.ndarray) -> list[GramSums]:
    """The sums of each attribute from its cells, over all parts."""
    cells = cells_of(~np.isnan(labels), part, states.shape[1])
    found = {}
    for place, rows in cells.within(0, len(states), set(part.tolist())):
        names = list(cells.cells[place].attributes)
        found[place] = GramSums(states.shape[1], len(names))
        found[place].add(states[rows], labels[rows][:, names])
    return [
        total(cells, found, [p for p in found if k in cells.cells[p].attributes], [k])
        for k in range(labels.shape[1])
    ]


@pytest.mark.parametrize("pattern", ["random", "exclusive", "nested", "none missing"])
def test_the_cells_of_an_attribute_add_up_to_its_labelled_rows(pattern: str) -> None:
    states, labels, _ = planted(rows=300, width=9, attributes=7)
    rng = np.random.default_rng(1)
    missing = {
        "random": rng.random(labels.shape) < 0.5,
        "exclusive": rng.integers(0, 7, len(labels))[:, None] != np.arange(7),
        "nested": rng.integers(0, 7, len(labels))[:, None] < np.arange(7),
        "none missing": np.zeros(labels.shape, bool),
    }[pattern]
    labels[missing] = np.nan
    part = rng.integers(0, 3, len(labels))
    for k, sums in enumerate(sums_by_attribute(states, labels, part)):
        rows = ~missing[:, k]
        np.testing.assert_allclose(square(sums.gram, 9), gram_of(states[rows]), rtol=1e-12)
        np.testing.assert_allclose(sums.xy[:, 0], states[rows].T @ labels[rows, k], atol=1e-10)
        np.testing.assert_allclose(sums.x, states[rows].sum(axis=0), rtol=1e-12)
        assert sums.rows == rows.sum()


def test_attributes_of_exclusive_sources_take_one_cell_for_each_source() -> None:
    source = np.repeat(np.arange(7), 40)
    known = source[:, None] == np.repeat(np.arange(7), [5, 5, 1, 1, 1, 1, 5])
    cells = cells_of(known, np.zeros(len(known), int), 64)
    assert len(cells.of_rows) == 1
    assert sorted(len(cell.attributes) for cell in cells.cells) == [1, 1, 1, 1, 5, 5, 5]


def test_attributes_missing_at_random_share_rows_in_blocks() -> None:
    known = np.random.default_rng(0).random((4000, 19)) < 0.5
    cells = cells_of(known, np.zeros(4000, int), 64)
    counted = sum(int((of_rows >= 0).sum()) for of_rows in cells.of_rows)
    assert counted < 0.6 * known.sum()
    for of_rows in cells.of_rows:
        assert len(np.unique(of_rows[of_rows >= 0])) <= 16


def test_rows_without_labels_are_in_no_cell() -> None:
    known = np.array([[True, False], [False, False], [True, True]])
    cells = cells_of(known, np.zeros(3, int), 4)
    assert all(of_rows[1] == -1 for of_rows in cells.of_rows)


@pytest.mark.parametrize("width", [1, 2, 7, 300])
def test_a_packed_matrix_unpacks_to_a_symmetric_square(width: int) -> None:
    columns = np.random.default_rng(0).standard_normal((width, 5))
    packed = np.zeros(width * (width + 1) // 2)
    rank_update(packed, columns, 2.0)
    np.testing.assert_allclose(square(packed, width), 2 * columns @ columns.T, atol=1e-12)


@pytest.mark.parametrize(("width", "count"), [(5, 9), (400, 9), (400, 2), (577, 6)])
def test_weights_are_those_of_solving_for_each_strength(width: int, count: int) -> None:
    states, labels, _ = planted(rows=2 * width, width=width, attributes=2)
    gram, products = gram_of(states), states.T @ labels
    penalties = [10.0**power for power in range(-4, count - 4)]
    found = ridge_path(gram, products, penalties)
    for weights, penalty in zip(found, penalties, strict=True):
        exact = np.linalg.solve(gram + penalty * np.eye(width), products)
        np.testing.assert_allclose(weights, exact, rtol=1e-9, atol=1e-10)


def test_a_steep_spectrum_keeps_the_precision_of_float64() -> None:
    rng = np.random.default_rng(0)
    states = rng.standard_normal((900, 400)) * np.geomspace(1e4, 1, 400)
    states = states @ np.linalg.qr(rng.standard_normal((400, 400)))[0]
    labels = states @ rng.standard_normal((400, 1)) / 400
    gram, products = gram_of(states), states.T @ labels
    penalties = (1e-4, 1e-2, 1.0, 10.0, 100.0)
    found = ridge_path(gram, products, penalties)
    for weights, penalty in zip(found, penalties, strict=True):
        stacked = np.vstack([states, np.sqrt(penalty) * np.eye(400)])
        exact, *_ = np.linalg.lstsq(stacked, np.vstack([labels, np.zeros((400, 1))]), rcond=None)
        assert np.linalg.norm(weights - exact) < 1e-5 * np.linalg.norm(exact)


def test_fewer_rows_than_features_are_solved_by_the_penalty() -> None:
    states, labels, _ = planted(rows=50, width=420, attributes=1)
    found = ridge_path(gram_of(states), states.T @ labels, [1e-4, 1e-2, 1, 10, 100])
    dual = states.T @ np.linalg.solve(states @ states.T + 1e-2 * np.eye(50), labels)
    np.testing.assert_allclose(found[1], dual, atol=1e-8)


def test_a_matrix_that_rounding_makes_indefinite_is_solved_by_its_eigenvalues() -> None:
    states = np.random.default_rng(0).standard_normal((10, 40)) * 1e6
    gram, products = gram_of(states), states.T @ np.ones((10, 1))
    [weights] = ridge_path(gram, products, [1e-9])
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(states @ weights, np.ones((10, 1)), atol=1e-4)


def test_a_band_matrix_has_the_eigenvalues_of_the_whole() -> None:
    states, _, _ = planted(rows=600, width=333)
    band, reflections = to_band(gram_of(states), 32)
    assert len(reflections) == 10
    whole = sum(np.diag(band[k, : 333 - k], -k) for k in range(33))
    whole = whole + np.tril(whole, -1).T
    np.testing.assert_allclose(
        np.linalg.eigvalsh(whole), np.linalg.eigvalsh(gram_of(states)), rtol=1e-9
    )


def test_a_panel_of_zeros_is_reflected_onto_itself() -> None:
    diagonal = np.diag(np.arange(1.0, 501.0))
    found = ridge_path(diagonal, np.ones((500, 1)), [1.0, 2, 3, 4, 5])
    np.testing.assert_allclose(found[1][:, 0], 1 / (np.arange(1.0, 501.0) + 2), rtol=1e-12)
    assert len(diagonal) >= 4 * _ridge_path.BAND


def test_the_published_split_holds_out_the_first_fifth_of_a_permutation() -> None:
    split = original_split(11)
    order = np.random.RandomState(42).permutation(11)
    assert sorted(np.flatnonzero(split.part == 0)) == sorted(order[:3])


def test_groups_stay_whole_and_each_fold_has_its_share_of_each_attribute() -> None:
    groups = np.repeat(np.arange(60), 4)
    known = np.zeros((240, 2), bool)
    known[:80, 0] = known[80:, 1] = True
    split = grouped_split(groups, known, folds=5, seed=3)
    assert all(len(set(split.part[groups == g])) == 1 for g in range(60))
    for k in range(2):
        shares = np.bincount(split.part[known[:, k]]) / known[:, k].sum()
        np.testing.assert_allclose(shares, 0.2, atol=0.051)


def test_one_fold_holds_out_a_fifth_of_the_groups_once() -> None:
    split = grouped_split(np.arange(100), np.ones((100, 1), bool), folds=1, seed=0)
    assert split.held == (0,)
    assert (split.part == 0).sum() == 20


def test_a_pass_in_batches_gathers_what_one_pass_over_all_rows_does() -> None:
    from attribute_cases import features

    from rmplug_armorm.heads._labels import LabelColumn, read_labels
    from rmplug_armorm.heads._states import StateBatches

    states, labels, _ = planted(rows=9000, width=6, attributes=1)
    table = features({"response": states.astype(np.float32), "a": labels[:, 0]}, "all")
    halves = [
        type(table)(table.table.slice(start, 4500), name) for start, name in ((0, "x"), (4500, "y"))
    ]
    for sources in ([table], halves):
        found = read_labels({"a": LabelColumn("a")}, sources, sources)
        cells = cells_of(found.labelled, np.zeros(9000, int), 6)
        batches = StateBatches(tuple(sources), "response")
        few = FewRows.empty(batches, found, np.ones(9000, bool))
        [sums] = gather(batches, found, cells, [0], np.zeros(6), few).values()
        exact = gram_of(states.astype(np.float32).astype(np.float64))
        np.testing.assert_allclose(square(sums.gram, 6), exact, rtol=1e-12)
