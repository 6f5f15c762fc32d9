"""Preferences made by a gate that is known: what a trained gate should find.

Rewards of 19 attributes, each correlated with verbosity; prompts of several types, of which each
counts two attributes, freed of verbosity, .7 and .3; Bradley-Terry choices by that score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmplug import Checkpoint, Features, Fit, Pairs
from rmplug_armorm import Debias, Gate, MultiObjectiveRidge
from rmplug_armorm.debias._transform_file import Transform, write_transform
from rmplug_armorm.heads._heads_file import Heads, write_heads

K, VERBOSITY, STRENGTH = 19, 4, 3.0
NAMES = tuple(f"a{k}" for k in range(K))
ENTROPY = float(-0.7 * np.log(0.7) - 0.3 * np.log(0.3))


@dataclass(frozen=True)
class Planted:
    pairs: Pairs
    states: Features
    weight: np.ndarray
    """Heads (K, d)."""
    correlations: np.ndarray
    """Of each attribute with verbosity."""
    right: np.ndarray
    """Whether the score that chose prefers the chosen response."""
    rewards: tuple[np.ndarray, np.ndarray]
    """Of chosen and rejected (n, K)."""

    @property
    def transform(self) -> np.ndarray:
        """The exact debiasing: rewards minus their correlation times verbosity."""
        matrix = np.eye(K)
        matrix[VERBOSITY] -= self.correlations
        return matrix


def planted(
    rows: int, width: int, types: int, seed: int, weights: np.ndarray | None = None
) -> Planted:
    """Pairs, the states of their prompts and sides, and the truth; ``weights`` (types, K) are those
    of the gate in place of .7 and .3 of two attributes."""
    rng = np.random.default_rng(seed)
    rho = np.insert(np.linspace(-0.3, 0.9, K - 1), VERBOSITY, 1.0)
    basis = np.linalg.qr(rng.normal(size=(width, width)))[0]
    kind = rng.integers(types, size=rows)
    gates = np.zeros((types, K))
    for gate in gates:
        gate[rng.choice(np.delete(np.arange(K), VERBOSITY), 2, replace=False)] = 0.7, 0.3
    gates = gates if weights is None else weights
    prompts = rng.normal(size=(types, width))[kind] + 0.5 * rng.normal(size=(rows, width))
    free = rng.normal(size=(2, rows, K))
    rewards = rho * free[..., [VERBOSITY]] + np.sqrt(1 - rho**2) * free
    score = ((rewards - rho * rewards[..., [VERBOSITY]]) * gates[kind]).sum(axis=2)
    lead = score[0] - score[1]
    first = rng.random(rows) < 1 / (1 + np.exp(-STRENGTH * lead))
    rest = rng.normal(size=(2, rows, width - K)) @ basis[K:]
    sides = rewards @ basis[:K] * 4 + rest
    order = np.where(first, 0, 1), np.where(first, 1, 0)
    at = np.arange(rows)
    ids = [f"p{row}" for row in at]
    vectors = {"prompt": prompts, "chosen": sides[order[0], at], "rejected": sides[order[1], at]}
    states = {name: values.astype(np.float32) for name, values in vectors.items()}
    texts = {name: [f"{name} {row}" for row in at] for name in ("prompt", "chosen", "rejected")}
    subsets = [f"type-{number}" for number in kind]
    return Planted(
        Pairs({"id": ids, **texts, "subset": subsets}, "pairs"),
        Features({"id": ids, **states}, "states"),
        basis[:K] / 4,
        rho,
        (lead > 0) == first,
        (rewards[order[0], at], rewards[order[1], at]),
    )


def heads_fit(folder: Path, weight: np.ndarray, names: tuple[str, ...] = NAMES) -> Fit:
    """Heads with these weights, as if they were fitted."""
    folder.mkdir(parents=True)
    count = len(weight)
    zeros, ones = np.zeros(count), np.ones(count)
    write_heads(folder, Heads(names, weight.astype(np.float64), zeros, zeros, ones), {})
    return Fit(folder, MultiObjectiveRidge, name="heads")


def debias_fit(folder: Path, matrix: np.ndarray, names: tuple[str, ...] = NAMES) -> Fit:
    """A transform, as if it were fitted."""
    folder.mkdir(parents=True)
    write_transform(folder, Transform(names, matrix))
    return Fit(folder, Debias, name="debias")


def trained(
    folder: Path, heads: Fit, truth: Planted, debias: Fit | None, seed: int = 0, **params: object
) -> Checkpoint:
    """A gate trained on planted pairs."""
    folder.mkdir(parents=True)
    step = Gate.model_validate(params)
    return step.train(heads, truth.states, truth.pairs, debias, seed=seed, directory=folder)


def value(numbers: list[dict], metric: str, subset: str = "all", model: str = "gate") -> float:
    """One number that is no paired difference."""
    [found] = [
        n["value"]
        for n in numbers
        if (n["metric"], n["subset"], n.get("model")) == (metric, subset, model)
        and "other" not in n
    ]
    return found
