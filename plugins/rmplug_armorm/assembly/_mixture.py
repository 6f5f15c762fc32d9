"""Heads, transform and gate together: a score with its contributions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmplug.arrays import Array
from rmplug_armorm.debias._measures import order_transform
from rmplug_armorm.debias._transform_file import Transform, read_transform, write_transform
from rmplug_armorm.gate._gate import AttributeGate
from rmplug_armorm.gate._gate_file import read_gate, write_gate
from rmplug_armorm.heads._heads_file import Heads, read_heads, write_heads


@dataclass(frozen=True)
class Explanation:
    """For n responses: scores (n,), and by attribute (n, K) raw rewards, their weights, and
    contributions, which add up to the score."""

    score: Array
    rewards: Array
    weights: Array
    contributions: Array


@dataclass(frozen=True)
class Mixture:
    """The computation between states and scores."""

    heads: Heads
    debiasing: Transform
    """Of the heads' rewards, and of what is measured on the text of a response beside them."""
    gate: AttributeGate
    temperature: float = 1.0
    """The divisor of scores, from the calibration."""

    @property
    def names(self) -> tuple[str, ...]:
        """Attributes, then measures: the parts of a score."""
        return self.debiasing.names

    @property
    def measures(self) -> tuple[str, ...]:
        return self.names[len(self.heads.names) :]

    @property
    def transform(self) -> Array:
        return self.debiasing.matrix

    def rewards(self, responses: Array, measured: Array) -> Array:
        """Compute raw rewards of states (n, d) and append ``measured``, (n, measures)."""
        return np.column_stack([self.heads.rewards(responses), measured])

    def explain(self, responses: Array, prompts: Array, measured: Array) -> Explanation:
        """Explain scores from states of responses and of their prompts (n, d), and measures."""
        rewards = self.rewards(responses, measured)
        weights, contributions = self.gate.explain(rewards, self.transform, prompts)
        weights, contributions = weights / self.temperature, contributions / self.temperature
        return Explanation(contributions.sum(axis=1), rewards, weights, contributions)

    def margins(self, chosen: Array, rejected: Array, prompts: Array) -> Array:
        """Compute scores of chosen minus those of rejected from raw rewards and measures."""
        sides = [rewards @ self.transform for rewards in (chosen, rejected)]
        return np.asarray(self.gate.margins(sides[0], sides[1], prompts) / self.temperature)

    def save(self, directory: Path) -> None:
        """Write heads, transform and gate."""
        write_heads(directory, self.heads, {})
        write_transform(directory, self.debiasing)
        write_gate(directory, self.gate, self.names)


def read_mixture(directory: Path, temperature: float) -> Mixture:
    """Read what ``save`` wrote."""
    heads = read_heads(directory)
    debiasing = order_transform(read_transform(directory), heads.names)
    return Mixture(heads, debiasing, read_gate(directory), temperature)
