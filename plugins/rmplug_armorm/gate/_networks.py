"""The networks of gates while they are trained: from the state of a prompt to weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from rmplug.arrays import Array

from ._settings import GateSettings

FLOOR = -40.0
"""Logits this far below the greatest: e^-40 is no weight, and no denormal number."""
OFF = -1e4


class PromptLayers(torch.nn.Module):  # type: ignore[misc]
    """Linear layers on prompt states (n, d), one output per attribute (n, K)."""

    def __init__(self, width: int, attributes: int, settings: GateSettings) -> None:
        super().__init__()
        layers = settings.layers if settings.gate == "mlp" else 0
        sizes = [width, *[settings.hidden] * layers, attributes]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = settings.dropout if layers else 0.0

    def start_at(self, outputs: torch.Tensor) -> None:
        """Start with the same outputs (K,) for all prompts; what a prompt adds is learnt."""
        with torch.no_grad():
            self.layers[-1].weight.zero_()
            self.layers[-1].bias.copy_(outputs)

    def read(self, prompts: torch.Tensor) -> torch.Tensor:
        """Compute the outputs in float32."""
        hidden = prompts
        for number, layer in enumerate(self.layers):
            if number:
                hidden = functional.relu(hidden)
                if self.training and self.dropout:
                    hidden = hidden * kept_units(hidden, self.dropout)
            hidden = layer(hidden)
        return hidden.float()


class SoftmaxNetwork(PromptLayers):
    """A network from prompt states (n, d) to logarithms of the shares of attributes (n, K)."""

    signed = False

    def __init__(
        self,
        width: int,
        settings: GateSettings,
        dead: Array,
        temperature: float,
        scale: float,
        start: Array | None,
    ) -> None:
        super().__init__(width, len(dead), settings)
        self.temperature = temperature
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(scale)))
        self.register_buffer("dead", torch.from_numpy(dead))
        if start is not None:
            sizes = np.maximum(start, 0) + 0.1 * max(float(np.abs(start).mean()), 1e-12)
            shares = torch.from_numpy(np.log(sizes / sizes.sum())).float()
            self.start_at(shares * self.temperature)

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        logits = self.read(prompts) / self.temperature
        logits = logits.masked_fill(self.dead, FLOOR * 2)
        top = logits.detach().max(dim=1, keepdim=True).values
        return torch.log_softmax(torch.maximum(logits, top + FLOOR), dim=1)

    def score(self, logs: torch.Tensor, lead: torch.Tensor) -> torch.Tensor:
        return self.log_scale.exp() * (logs.exp() * lead).sum(dim=1)

    def scale(self) -> float:
        return float(self.log_scale.detach().exp())

    def fold(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """Return the last layer of the saved gate; attributes without information are off."""
        off = np.asarray(self.dead.cpu().numpy())
        return weight, np.where(off, OFF * self.temperature, bias)


class SignedNetwork(PromptLayers):
    """A network from prompt states (n, d) to weights of attributes (n, K) of any sign.

    ``units`` (K,) are the weights that an output of 1 stands for: one over the root mean square of
    an attribute's differences, so that all learn at the same pace, or 0 where it says nothing.
    """

    signed = True
    temperature = 1.0

    def __init__(self, width: int, settings: GateSettings, units: Array, start: Array) -> None:
        super().__init__(width, len(units), settings)
        self.register_buffer("units", torch.from_numpy(units).float())
        outputs = np.divide(start, units, out=np.zeros_like(start), where=units > 0)
        self.start_at(torch.from_numpy(outputs).float())

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        return self.read(prompts) * self.units

    def score(self, weights: torch.Tensor, lead: torch.Tensor) -> torch.Tensor:
        return (weights * lead).sum(dim=1)

    def scale(self) -> float:
        return 1.0

    def fold(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """Return the last layer of the saved gate, multiplied by the units."""
        units = np.asarray(self.units.cpu().double().numpy())
        return weight * units[:, None], bias * units


class PairAxis(torch.nn.Module):  # type: ignore[misc]
    """The published script's gate: a softmax over the two responses of a pair, which have the same
    prompt, so that every attribute has the share one half."""

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(0.0))
        self.register_buffer("halves", torch.full((attributes,), math.log(0.5)))

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        return self.halves.expand(len(prompts), -1)

    def score(self, logs: torch.Tensor, lead: torch.Tensor) -> torch.Tensor:
        return self.log_scale.exp() * (logs.exp() * lead).sum(dim=1)


PromptNetwork: TypeAlias = SoftmaxNetwork | SignedNetwork
GateNetwork: TypeAlias = PromptNetwork | PairAxis


def kept_units(like: torch.Tensor, share: float) -> torch.Tensor:
    """Draw the factor of each unit under dropout: 0, or the factor that keeps the mean. Draws one
    random byte each, so the share is a multiple of 1/256; twice as fast as the library's
    dropout."""
    count = like.numel()
    drawn = torch.empty(count // 8 + 1, dtype=torch.int64, device=like.device)
    drawn = drawn.random_(-(2**63), None).view(torch.uint8)[:count].view(like.shape)
    least = min(255, round(share * 256))
    return (drawn >= least).to(like.dtype).mul_(256 / (256 - least))
