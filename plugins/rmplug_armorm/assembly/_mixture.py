"""Heads, transform and gate put together: a score that says what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, text_of
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_armorm.debias._transform_file import Transform, read_transform, write_transform
from rmplug_armorm.gate._gate import Gate, read_gate, write_gate
from rmplug_armorm.heads._heads_file import Heads, read_heads, write_heads

CHARACTERS = ".characters"
"""How the name of a measured length of the response ends."""


@dataclass(frozen=True)
class Explanation:
    """Of each response (n): the score, and by attribute (n, K) raw rewards, their weights, and
    contributions, which add up to the score."""

    score: Array
    rewards: Array
    weights: Array
    contributions: Array


@dataclass(frozen=True)
class Mixture:
    """All that lies between states and scores."""

    heads: Heads
    debiasing: Transform
    """Of the heads' rewards, and of what is measured on the text of a response beside them."""
    gate: Gate
    temperature: float = 1.0
    """What scores are divided by: the calibration."""

    @property
    def names(self) -> tuple[str, ...]:
        """Attributes, then measures: what a score is made of."""
        return self.debiasing.names

    @property
    def measures(self) -> tuple[str, ...]:
        return self.names[len(self.heads.names) :]

    @property
    def transform(self) -> Array:
        return self.debiasing.matrix

    def rewards(self, responses: Array, measured: Array) -> Array:
        """Raw rewards of states (n, d), and what was measured (n, measures) beside them."""
        return np.column_stack([self.heads.rewards(responses), measured])

    def explain(self, responses: Array, prompts: Array, measured: Array) -> Explanation:
        """For states of responses and of their prompts, both (n, d), and their measures."""
        rewards = self.rewards(responses, measured)
        weights, contributions = self.gate.explain(rewards, self.transform, prompts)
        weights, contributions = weights / self.temperature, contributions / self.temperature
        return Explanation(contributions.sum(axis=1), rewards, weights, contributions)

    def margins(self, chosen: Array, rejected: Array, prompts: Array) -> Array:
        """Scores of chosen minus those of rejected, of raw rewards and measures."""
        sides = [rewards @ self.transform for rewards in (chosen, rejected)]
        return np.asarray(self.gate.margins(sides[0], sides[1], prompts) / self.temperature)

    def save(self, directory: Path) -> None:
        """Writes heads, transform and gate."""
        write_heads(directory, self.heads, {})
        write_transform(directory, self.debiasing)
        write_gate(directory, self.gate, self.names)


def read_mixture(directory: Path, temperature: float) -> Mixture:
    """What ``save`` wrote."""
    heads = read_heads(directory)
    debiasing = ordered(read_transform(directory), heads.names)
    return Mixture(heads, debiasing, read_gate(directory), temperature)


def ordered(transform: Transform, names: tuple[str, ...]) -> Transform:
    """The transform for attributes in the order of ``names``, then its measures."""
    missing = [name for name in names if name not in transform.names]
    measures = tuple(name for name in transform.names if name not in names)
    unknown = [name for name in measures if not name.endswith(CHARACTERS)]
    if missing or unknown:
        raise DataError(
            f"the debiasing is of {some(transform.names)}, the heads are of {some(names)}; debias "
            "the rewards of the same heads, against attributes or the length of the response "
            "(…characters): no other measure can be taken of a text that is scored"
        )
    order = [*names, *measures]
    at = [transform.names.index(name) for name in order]
    return Transform(tuple(order), np.asarray(transform.matrix[np.ix_(at, at)]))


def measured(texts: pa.Array | pa.ChunkedArray, measures: Sequence[str]) -> Array:
    """The measures (n, C) of responses, chat messages or texts: their length in characters."""
    lengths = pc.fill_null(pc.utf8_length(text_of(texts)), 0)
    values = np.asarray(lengths).astype(np.float64)
    return np.repeat(values[:, None], len(measures), axis=1)
