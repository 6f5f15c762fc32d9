"""Settings of the training of a gate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GateSettings:
    """The parameters of ``gate``, under the names that they have there."""

    gate: str
    weights: str
    hidden: int
    layers: int
    dropout: float
    temperature: tuple[float, ...]
    entropy: tuple[float, ...]
    scale: float | None
    learning_rate: float
    weight_decay: float
    batch: int
    steps: int
    check_every: int
    patience: int
    standardise: bool
    held_out: float
    validation: float
    l2: float
    trees: int
    depth: int
    tree_rate: float
    precision: str
    device: str
    compat: str | None
