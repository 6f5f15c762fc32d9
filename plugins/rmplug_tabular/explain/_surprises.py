"""The rows that an explanation misses most, and the rows that are most alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rmplug_tabular._feature_matrix import Examples
from rmplug_tabular._learners import Preparation

from ._families import Family
from ._structure import Prompts


def surprises(
    examples: Examples, matrix: np.ndarray, families: Sequence[Family], prompts: Prompts,
    predicted: np.ndarray, rows: int, neighbours: int,
) -> pa.Table:  # fmt: skip
    """Return, for the rows with the largest held-out residuals, their nearest rows of other
    prompts: by the cosine of their vectors where there are any, else by the distance of their
    standardised features. ``matrix`` (rows, numbers) is standardised."""
    residual = examples.target - predicted
    worst = np.argsort(-np.abs(residual), kind="stable")[:rows]
    space, vectors = _space(examples, matrix, families)
    sizes = np.linalg.norm(space, axis=1)
    body = []
    for rank, row in enumerate(worst.tolist()):
        distance = _distances(space, sizes, row, vectors)
        distance[prompts.of == prompts.of[row]] = np.inf
        nearest = np.argsort(distance, kind="stable")[:neighbours]
        body += [
            (rank + 1, row, int(n), float(distance[n])) for n in nearest if distance[n] < np.inf
        ]
    ranks, own, alike, far = zip(*body, strict=True) if body else ((), (), (), ())
    mine, other = pa.array(own, pa.int64()), pa.array(alike, pa.int64())
    target, guess = pa.array(examples.target), pa.array(predicted)
    return pa.table(
        {
            "rank": pa.array(ranks, pa.int64()),
            "id": examples.ids.take(mine),
            "target": target.take(mine),
            "prediction": guess.take(mine),
            "residual": pa.array(residual).take(mine),
            "neighbour": examples.ids.take(other),
            "neighbour_target": target.take(other),
            "neighbour_prediction": guess.take(other),
            "distance": pa.array(far, pa.float64()),
        }
    )


def _space(
    examples: Examples, matrix: np.ndarray, families: Sequence[Family]
) -> tuple[np.ndarray, bool]:
    """Return the numbers that say which rows are alike: the widest vector, else all features of
    one number, every family with the same weight."""
    vectors = [(c.width, block) for c, block in examples.blocks() if c.vector]
    if vectors:
        _, block = max(vectors, key=lambda one: one[0])
        values = examples.matrix[:, block]
        # missing numbers are what the regressions took them for
        return Preparation.of(values, impute=True, standardise=False)(values), True
    factor = np.ones(matrix.shape[1])
    for family in families:
        factor[family.numbers] = len(family.numbers) ** -0.5
    return matrix * factor, False


def _distances(space: np.ndarray, sizes: np.ndarray, row: int, vectors: bool) -> np.ndarray:
    """Return the distance of a row to every row: 1 less the cosine, or Euclid's."""
    products = space @ space[row]
    if vectors:
        return np.asarray(1 - products / np.maximum(sizes * sizes[row], 1e-300))
    return np.asarray(np.sqrt((sizes**2 + sizes[row] ** 2 - 2 * products).clip(0)))
