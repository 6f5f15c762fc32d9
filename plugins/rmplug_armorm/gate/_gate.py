"""Gates after training: the weight of each attribute for a prompt."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug.arrays import Array

TENSORS = "gate.safetensors"
BLOCK = 1024


class AttributeGate(ABC):
    """A map from debiased attribute rewards to a score that is a sum of contributions."""

    kind = ""
    compares = False
    """True for a gate that reads both sides of a pair at once, by ``margins``."""

    @abstractmethod
    def explain(self, rewards: Array, transform: Array, prompts: Array) -> tuple[Array, Array]:
        """Compute weights and contributions by attribute, both (n, K) float64, for raw rewards (n,
        K), the transform (K, K) that debiases them, and states of prompts (n, d). Contributions add
        up to the score; weights are NaN where there are none."""

    def margins(self, chosen: Array, rejected: Array, prompts: Array) -> Array:
        """Compute margins (n,) of debiased rewards (n, K)."""
        same = np.eye(chosen.shape[1])
        _, contributions = self.explain(chosen - rejected, same, prompts)
        return np.asarray(contributions.sum(axis=1))

    @abstractmethod
    def save(self, directory: Path) -> Mapping[str, Any]:
        """Write the arrays; returns the entries for ``gate.json``."""


class LinearGate(AttributeGate):
    """A gate whose score is a sum of weights times debiased rewards."""

    @abstractmethod
    def weights(self, prompts: Array) -> Array:
        """Compute weights (n, K) on debiased rewards."""

    def explain(self, rewards: Array, transform: Array, prompts: Array) -> tuple[Array, Array]:
        weights = self.weights(prompts) @ np.asarray(transform, np.float64).T
        return weights, weights * rewards

    def shares(self, prompts: Array) -> Array:
        """Compute each attribute's share of the absolute weights, (n, K)."""
        sizes = np.abs(self.weights(prompts))
        return np.asarray(sizes / np.maximum(sizes.sum(axis=1, keepdims=True), 1e-300))


@dataclass(frozen=True)
class ConstantGate(LinearGate):
    """A gate with the same weights (K,) for every prompt."""

    values: Array
    kind = "constant"

    def weights(self, prompts: Array) -> Array:
        return np.tile(np.asarray(self.values, np.float64), (len(prompts), 1))

    def save(self, directory: Path) -> Mapping[str, Any]:
        save_file({"weights": np.asarray(self.values, np.float64)}, directory / TENSORS)
        return {}


@dataclass(frozen=True)
class NetworkGate(LinearGate):
    """A gate ``scale * softmax(layers(prompt) / temperature)``, without the softmax where it is
    ``signed``; ReLU between layers."""

    layers: tuple[tuple[Array, Array], ...]
    """Weight (out, in) and bias (out,) of each layer."""
    scale: float
    temperature: float
    signed: bool = False
    kind = "network"

    def weights(self, prompts: Array) -> Array:
        parts = [self._block(prompts[at : at + BLOCK]) for at in range(0, len(prompts), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.layers[-1][1])))

    def _block(self, prompts: Array) -> Array:
        outputs = np.asarray(prompts, np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            outputs = (np.maximum(outputs, 0) if number else outputs) @ weight.T.astype(
                np.float64
            ) + bias
        outputs = outputs / self.temperature
        if self.signed:
            return np.asarray(self.scale * outputs)
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(self.scale * outputs / outputs.sum(axis=1, keepdims=True))

    def tensors(self) -> dict[str, Array]:
        """Return the published layout: ``layers.<n>.weight`` and ``.bias``, ``logit_scale``."""
        named = {
            f"layers.{number}.{name}": np.ascontiguousarray(values, dtype=np.float32)
            for number, layer in enumerate(self.layers)
            for name, values in zip(("weight", "bias"), layer, strict=True)
        }
        return {**named, "logit_scale": np.array([self.scale], np.float32)}

    @classmethod
    def of_tensors(
        cls, tensors: Mapping[str, Array], temperature: float, signed: bool = False
    ) -> NetworkGate:
        """Make a gate from the published layout; raises DataError for names that do not fit."""
        count = sum(name.endswith(".weight") for name in tensors)
        try:
            layers = tuple(
                (tensors[f"layers.{n}.weight"], tensors[f"layers.{n}.bias"]) for n in range(count)
            )
            scale = float(np.asarray(tensors["logit_scale"]).reshape(-1)[0])
        except (KeyError, IndexError, ValueError) as error:
            raise DataError(
                f"the gate lacks {error}; it must hold layers.<n>.weight, layers.<n>.bias and "
                "logit_scale"
            ) from error
        widths = [(w.shape, b.shape) for w, b in layers]
        if any((len(w), len(b)) != (2, 1) for w, b in widths):
            raise DataError(f"the layers of the gate are no matrices with biases: {widths}")
        chained = all(a[0][0] == b[0][1] for a, b in itertools.pairwise(widths))
        if not layers or not chained or any(w[0] != b[0] for w, b in widths):
            raise DataError(f"the layers of the gate do not fit each other: {widths}")
        return cls(layers, scale, temperature, signed)

    def save(self, directory: Path) -> Mapping[str, Any]:
        save_file(self.tensors(), directory / TENSORS)
        return {"temperature": self.temperature, "weights": "signed" if self.signed else "softmax"}
