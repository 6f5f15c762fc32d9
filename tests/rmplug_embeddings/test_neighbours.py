"""Nearest neighbours by cosine."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug import DataError, Features
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_features, small_pairs
from rmplug_embeddings import Neighbours, _neighbours


def features(matrix, groups=None) -> Features:
    rows = len(matrix)
    columns = {"id": [str(n) for n in range(rows)], "vector": np.asarray(matrix, np.float32)}
    return Features(columns | ({} if groups is None else {"group": groups}), "embedding")


def by_hand(matrix, groups, k, duplicate) -> dict[str, np.ndarray]:
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = unit @ unit.T
    cosines[np.equal.outer(groups, groups)] = -np.inf
    ordered = -np.sort(-cosines, axis=1)[:, :k]
    counts = (cosines >= duplicate).sum(axis=1)
    return {"nearest.similarity": ordered[:, 0], "density": ordered.mean(1), "duplicates": counts}


def test_it_conforms():
    check_step(
        Neighbours, {"device": "cpu", "k": 2}, {"vectors": features(np.eye(4)[[0, 1, 1, 2]])}
    )


@pytest.mark.parametrize("keys", [64, 8192])
def test_it_finds_what_a_full_matrix_finds(monkeypatch, keys):
    monkeypatch.setattr(_neighbours, "KEYS", keys)
    monkeypatch.setattr(_neighbours, "QUERIES", 50)
    rng = np.random.default_rng(0)
    matrix, groups = rng.normal(size=(300, 8)), rng.integers(0, 40, 300)
    found = Neighbours(k=5, duplicate=0.9, device="cpu").compute(
        features(matrix, [str(g) for g in groups])
    )
    expected = by_hand(matrix, groups, 5, 0.9)
    for name, values in expected.items():
        assert np.allclose(found.table[name], values, atol=1e-5), name
    assert np.array_equal(found.table["duplicate"], (expected["duplicates"] > 0).astype(float))
    assert 0 < (expected["duplicates"] > 0).mean() < 1


def test_rows_of_the_same_prompt_are_no_neighbours():
    found = Neighbours(device="cpu").compute(
        features([[1, 0], [1, 0], [0.6, 0.8]], ["a", "a", "b"])
    )
    assert found.table["nearest.similarity"].to_pylist() == pytest.approx([0.6] * 3)
    assert found.table["duplicate"].to_pylist() == [0, 0, 0]


def test_a_row_without_a_direction_is_nobodys_neighbour_and_is_named():
    with collect_notices() as notices:
        found = Neighbours(device="cpu").compute(features([[1, 0], [0, 0], [np.nan, 1], [1, 1]]))
    nearest = found.table["nearest.similarity"].to_numpy()
    assert np.isnan(nearest).tolist() == [False, True, True, False]
    assert nearest[0] == pytest.approx(np.sqrt(0.5))
    [notice] = notices.values()
    assert (notice.what, notice.ids) == ("vector is all zeros or has NaN", ["1", "2"])


def test_numbers_are_refused():
    numbers = small_features(small_pairs()).select("first")
    numbers.name = "words.first"
    with pytest.raises(DataError, match=r"needs vectors, but words\.first holds numbers"):
        Neighbours(device="cpu").compute(numbers)


def test_several_columns_are_refused_by_name():
    with pytest.raises(DataError, match=r"name one: words\.first, words\.last"):
        Neighbours(device="cpu").compute(small_features(small_pairs()))
