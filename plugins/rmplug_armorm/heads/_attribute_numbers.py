"""Accuracy of heads on held-out labels, beside baselines that do not read the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.metric_rows import (
    Statistic,
    mean_of,
    measured_together,
    number,
    r2_columns,
    r2_of,
    rank_columns,
    spearman_of,
)

from ._labels import AttributeLabels
from ._splits import HeldOutSplit

RESAMPLES = 500


@dataclass(frozen=True)
class HeldOutLabels:
    """Held-out predictions of labels, for all strengths; rows are counted by attribute."""

    split: HeldOutSplit
    means: Array
    """The mean label of what each held-out part was predicted from, shape (held parts, K)."""
    rows: tuple[Array, ...]
    """For each attribute, the rows that are held out at some time and have its label."""
    index_of: Array
    """The index of each row in ``rows``, shape (n, K); -1 where it is not there."""
    targets: tuple[Array, ...]
    predictions: tuple[Array, ...]
    """For each attribute, shape (its rows, strengths), float32."""
    errors: tuple[Array, ...]
    """For each attribute, the sum of squared errors, shape (held parts, strengths)."""

    @classmethod
    def empty(
        cls, labels: AttributeLabels, split: HeldOutSplit, alphas: int, means: Array
    ) -> HeldOutLabels:
        """Make empty arrays for predictions."""
        held_out = labels.labelled & np.isin(split.part, split.held)[:, None]
        rows = tuple(np.flatnonzero(column) for column in held_out.T)
        return cls(
            split,
            means,
            rows,
            np.where(held_out, np.cumsum(held_out, axis=0, dtype=np.int32) - 1, -1),
            tuple(labels.values[at, k] for k, at in enumerate(rows)),
            tuple(np.empty((len(at), alphas), np.float32) for at in rows),
            tuple(np.zeros((len(split.held), alphas)) for _ in rows),
        )

    def put(self, rows: Array, attributes: Sequence[int], predicted: Array) -> None:
        """Store predictions (rows, strengths, attributes) of rows of one part."""
        at = self.split.held.index(int(self.split.part[rows[0]]))
        for j, k in enumerate(attributes):
            indices = self.index_of[rows, k]
            self.predictions[k][indices] = predicted[:, :, j]
            self.errors[k][at] += (
                (predicted[:, :, j] - self.targets[k][indices][:, None]) ** 2
            ).sum(axis=0)

    def losses(self) -> Array:
        """Compute the mean squared error by strength and attribute."""
        losses = [
            errors.sum(axis=0) / max(len(rows), 1)
            for errors, rows in zip(self.errors, self.rows, strict=True)
        ]
        return np.stack(losses, axis=1)

    def best(self) -> Array:
        """Return the index of the best strength of each attribute; the first of equal ones."""
        return np.asarray(self.losses().argmin(axis=0))

    def predicted(self, k: int) -> tuple[Array, Array]:
        """Return predictions of one attribute, each part with the strength that is best on the
        others (or on itself, if there is no other), and the mean label beside them."""
        errors, part = self.errors[k], self.split.part[self.rows[k]]
        others = errors.sum(axis=0) - errors if len(errors) > 1 else errors
        strengths = others.argmin(axis=1)
        at = np.searchsorted(np.array(self.split.held), part)
        rows = np.arange(len(part))
        return self.predictions[k][rows, strengths[at]].astype(np.float64), self.means[at, k]


def numbers_of(
    labels: AttributeLabels, held: HeldOutLabels, alphas: Sequence[float], seed: int
) -> list[dict[str, Any]]:
    """Compute the numbers of all attributes, each with the attribute as its ``subset``."""
    best = held.best()
    by_attribute = _on_held_out(labels, held, seed)
    numbers = []
    for k, name in enumerate(labels.names):
        count = int(np.count_nonzero(labels.labelled[:, k]))
        edge = len(alphas) > 1 and best[k] in (0, len(alphas) - 1)
        numbers += [
            *by_attribute[k],
            number("alpha", alphas[best[k]], count, subset=name),
            number("alpha-at-edge", float(edge), count, subset=name),
            number("labels", count, count, subset=name),
            number("groups", labels.groups_of(k), count, subset=name),
        ]
    return numbers


def _on_held_out(
    labels: AttributeLabels, held: HeldOutLabels, seed: int
) -> dict[int, list[dict[str, Any]]]:
    """Compute numbers with intervals by attribute; attributes with the same rows share
    resamples."""
    alike: dict[bytes, list[int]] = {}
    for k, rows in enumerate(held.rows):
        alike.setdefault(rows.tobytes(), []).append(k)
    numbers: dict[int, list[dict[str, Any]]] = {}
    for attributes in alike.values():
        columns: dict[str, Array] = {}
        statistics: dict[tuple[str, str], Statistic] = {}
        for k in attributes:
            if len(held.rows[k]):
                _add_attribute(labels, held, k, columns, statistics)
        groups = labels.groups[held.rows[attributes[0]]]
        together = (
            measured_together(columns, statistics, groups, seed, RESAMPLES) if columns else []
        )
        for k in attributes:
            numbers[k] = [row for row in together if row["subset"] == labels.names[k]]
    return numbers


def _add_attribute(
    labels: AttributeLabels,
    held: HeldOutLabels,
    k: int,
    columns: dict[str, Array],
    statistics: dict[tuple[str, str], Statistic],
) -> None:
    """Add the columns to sum for one attribute, and the statistics of the sums."""
    name, target = labels.names[k], held.targets[k]
    predicted, mean = held.predicted(k)
    columns |= r2_columns(target, predicted, name) | rank_columns(target, predicted, name)
    columns |= {f"of mean {name}": (target - mean) ** 2}
    statistics |= {
        ("mse", name): mean_of(f"error² {name}"),
        ("r2", name): r2_of(name),
        ("spearman", name): spearman_of(name),
        ("mse-of-mean", name): mean_of(f"of mean {name}"),
    }
    by_length = of_length(labels, held, k)
    if by_length is not None:
        columns |= {f"of length {name}": (target - by_length) ** 2}
        columns |= rank_columns(target, by_length, f"length {name}")
        statistics |= {
            ("mse-of-length", name): mean_of(f"of length {name}"),
            ("spearman-of-length", name): spearman_of(f"length {name}"),
        }


def of_length(labels: AttributeLabels, held: HeldOutLabels, k: int) -> Array | None:
    """Predict held-out labels from the length of the response and its logarithm alone, by least
    squares; None where lengths are missing."""
    rows, part = held.rows[k], held.split.part
    learnt = np.flatnonzero(labels.labelled[:, k])
    if np.isnan(labels.characters[learnt]).any():
        return None
    predicted = np.empty(len(rows))
    for fold in held.split.held:
        rest, here = learnt[part[learnt] != fold], part[rows] == fold
        design = _length_design(labels.characters[rest])
        weights, *_ = np.linalg.lstsq(design, labels.values[rest, k], rcond=None)
        predicted[here] = _length_design(labels.characters[rows[here]]) @ weights
    return predicted


def _length_design(characters: Array) -> Array:
    return np.column_stack([np.ones(len(characters)), characters / 1000, np.log1p(characters)])
