"""Cases for ridge heads of wide states, and their weights by least squares on the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from attribute_cases import features, planted

from rmplug_armorm.heads._gram import RowCells, cells_of
from rmplug_armorm.heads._labels import AttributeLabels, LabelColumn, read_labels
from rmplug_armorm.heads._learning import Ridge
from rmplug_armorm.heads._ridge import GRID, LEAST_WIDTH, Solved
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
