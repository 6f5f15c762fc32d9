"""The strength of a penalty, chosen by cross-validation."""

from __future__ import annotations

import numpy as np

from rmplug.stats.strength_search import StrengthSearch

GRID = (10.0, 1.0, 0.1)


def searched(losses, fold_weights=(3, 1), grid=GRID):
    """Four rows, the last of them alone in its fold; row r has the prediction 10 s + r at s."""
    fold = np.array([0, 0, 0, 1])
    predictions = 10 * np.arange(len(losses))[:, None] + np.arange(4)
    return StrengthSearch(grid, fold, predictions, np.array(losses), np.array(fold_weights))


def test_the_best_strength_has_the_least_loss_over_the_rows_of_all_folds():
    search = searched([[0.5, 0.1], [0.4, 0.3], [0.9, 0.0]])
    assert search.best() == 1
    assert search.strength == 1.0
    assert searched([[0.5, 0.1], [0.4, 0.3]], fold_weights=(1, 3)).strength == 10.0


def test_a_row_is_predicted_with_the_strength_that_is_best_on_the_other_folds():
    search = searched([[0.5, 0.1], [0.4, 0.3], [0.9, 0.0]])
    assert [search.best(without=0), search.best(without=1)] == [2, 1]
    assert search.held_out().tolist() == [20, 21, 22, 13]
    assert search.fold_weights.tolist() == [3, 1]


def test_predictions_of_several_values_a_row_keep_their_shape():
    search = StrengthSearch(
        GRID, np.array([0, 1]), np.zeros((2, 2, 5)), np.ones((2, 2)), np.ones(2)
    )
    assert search.held_out().shape == (2, 5)


def test_a_strength_at_the_edge_of_the_grid_is_told():
    inner = searched([[0.5, 0.1], [0.4, 0.3], [0.9, 0.0]]).numbers("code")
    assert [(row["metric"], row["subset"], row["value"], row["n"]) for row in inner] == [
        ("l2", "code", 1.0, 4),
        ("l2-at-edge", "code", 0.0, 4),
    ]
    assert searched([[0.1, 0.1], [0.4, 0.3]]).numbers()[1]["value"] == 1.0
    assert searched([[0.1, 0.1]], grid=(10.0,)).numbers()[1]["value"] == 0.0
