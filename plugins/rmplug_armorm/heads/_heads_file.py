"""Attribute heads on disk: linear heads on states as safetensors, names and ranges as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.files import read_json, read_tensors

JSON, TENSORS, FORMAT = "heads.json", "heads.safetensors", 1
SHAPES = {"weight": 2, "bias": 1, "low": 1, "high": 1}


@dataclass(frozen=True)
class Heads:
    """Linear heads, one per attribute: ``reward = states @ weight.T + bias``, in scaled units.

    A label ``y`` is learnt as ``(y - low) / (high - low)``, so a reward of 0 is the label ``low``
    and 1 is ``high``.
    """

    names: tuple[str, ...]
    weight: Array
    """Shape (K, d)."""
    bias: Array
    """Shape (K,)."""
    low: Array
    """Shape (K,): the least label declared, before scaling."""
    high: Array
    """Shape (K,): the greatest."""

    def rewards(self, states: Array) -> Array:
        """Compute float64 rewards of shape (n, K) for states of shape (n, d)."""
        return np.asarray(states, np.float64) @ np.asarray(self.weight, np.float64).T + self.bias

    def labels(self, rewards: Array) -> Array:
        """Convert rewards to the units of the declared labels."""
        return np.asarray(rewards * (self.high - self.low) + self.low)

    def only(self, names: Sequence[str]) -> Heads:
        """Return some of the heads, in the order of ``names``."""
        at = [self.names.index(name) for name in names]
        parts = (part[at] for part in (self.weight, self.bias, self.low, self.high))
        return Heads(tuple(names), *parts)


def write_heads(directory: Path, heads: Heads, about: Mapping[str, Any]) -> None:
    """Write ``heads.safetensors`` and ``heads.json``; ``about`` is stored beside the names."""
    tensors = {name: np.ascontiguousarray(getattr(heads, name)) for name in SHAPES}
    save_file(tensors, directory / TENSORS)
    record = {"format": FORMAT, "names": list(heads.names), "about": dict(about)}
    (directory / JSON).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_heads(directory: Path) -> Heads:
    """Read the heads that ``write_heads`` wrote; raises DataError for any other file."""
    names = tuple(_read_json(directory)["names"])
    tensors = read_tensors(directory / TENSORS)
    fits = set(tensors) == set(SHAPES) and all(
        tensors[name].ndim == axes and len(tensors[name]) == len(names)
        for name, axes in SHAPES.items()
    )
    if not fits:
        raise DataError(
            f"{directory / TENSORS} does not hold weight (K, d), bias, low and high (K) "
            f"for the K = {len(names)} names in {JSON}; fit the heads again"
        )
    return Heads(names, *(tensors[name] for name in SHAPES))


def read_about(directory: Path) -> dict[str, Any]:
    """Read the facts stored beside the heads: the column of states, the alphas, the backbone."""
    return dict(_read_json(directory)["about"])


def _read_json(directory: Path) -> dict[str, Any]:
    record = read_json(directory / JSON)
    if record.get("format") != FORMAT or not is_named(record):
        raise DataError(f"{directory / JSON} is not a file of attribute heads, format {FORMAT}")
    return record


def is_named(written: Mapping[str, Any]) -> bool:
    """Check whether a record beside tensors has distinct ``names`` and an ``about``."""
    names = written.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    return len(set(names)) == len(names) > 0 and isinstance(written.get("about"), dict)
