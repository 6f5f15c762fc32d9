"""Training a gate over attributes by Bradley-Terry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from torch.nn import functional

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.devices import device_of

from ._constant import fit_scale, fit_weights
from ._examples import GateExamples
from ._gate import ConstantGate, NetworkGate
from ._settings import GateSettings

FLOOR = -40.0
"""Logits this far below the greatest: e^-40 is no weight, and no denormal number."""
OFF = -1e4
WIDE = 512


@dataclass(frozen=True)
class GridPoint:
    """One combination of the grid, and where training starts."""

    temperature: float
    entropy: float
    start: Array | None
    """Weights (K,) of a constant gate to start from; None starts as the layers are drawn."""
    scale: float


@dataclass(frozen=True)
class Trained:
    """A gate, how it was chosen, and how far training went."""

    gate: NetworkGate
    point: GridPoint
    loss: float
    step: int


class GateNetwork(torch.nn.Module):  # type: ignore[misc]
    """Prompt states (n, d) to logarithms of the shares of attributes (n, K)."""

    def __init__(
        self, width: int, settings: GateSettings, point: GridPoint, dead: torch.Tensor
    ) -> None:
        super().__init__()
        layers = settings.layers if settings.gate == "mlp" else 0
        sizes = [width, *[settings.hidden] * layers, len(dead)]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = settings.dropout if layers else 0.0
        self.temperature = point.temperature
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(point.scale)))
        self.register_buffer("dead", dead)
        if point.start is not None:
            self._begin_at(point.start)

    def _begin_at(self, weights: Array) -> None:
        """Constant shares: what a prompt adds is learnt from there."""
        sizes = np.maximum(weights, 0) + 0.1 * max(float(np.abs(weights).mean()), 1e-12)
        shares = torch.from_numpy(np.log(sizes / sizes.sum())).float()
        with torch.no_grad():
            self.layers[-1].weight.zero_()
            self.layers[-1].bias.copy_(shares * self.temperature)

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        found = prompts
        for place, layer in enumerate(self.layers):
            if place:
                found = functional.relu(found)
                if self.training and self.dropout:
                    found = found * kept_units(found, self.dropout)
            found = layer(found)
        found = found.float() / self.temperature
        found = found.masked_fill(self.dead, FLOOR * 2)
        top = found.detach().max(dim=1, keepdim=True).values
        return torch.log_softmax(torch.maximum(found, top + FLOOR), dim=1)


def kept_units(like: torch.Tensor, share: float) -> torch.Tensor:
    """The factor of each unit where a share is left out: 0, or what keeps the mean. From a random
    byte each, so the share is a multiple of 1/256; twice as fast as the library's dropout."""
    count = like.numel()
    drawn = torch.empty(count // 8 + 1, dtype=torch.int64, device=like.device)
    drawn = drawn.random_(-(2**63), None).view(torch.uint8)[:count].view(like.shape)
    least = min(255, round(share * 256))
    return (drawn >= least).to(like.dtype).mul_(256 / (256 - least))


class PairAxis(torch.nn.Module):  # type: ignore[misc]
    """The published script's gate: a softmax over the two responses of a pair, which have the same
    prompt, so that every attribute has the share one half."""

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(0.0))
        self.register_buffer("halves", torch.full((attributes,), math.log(0.5)))

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        return self.halves.expand(len(prompts), -1)


@dataclass(frozen=True)
class Tensors:
    """Examples on the device, in float32; prompt states are centred and scaled."""

    prompts: torch.Tensor
    lead: torch.Tensor
    margins: torch.Tensor
    weights: torch.Tensor

    def at(self, rows: torch.Tensor) -> Tensors:
        return Tensors(self.prompts[rows], self.lead[rows], self.margins[rows], self.weights[rows])


def train_network(
    settings: GateSettings, learnt: GateExamples, chosen_by: GateExamples, seed: int
) -> Trained:
    """The best of the grid by held-out loss; without rows to choose by, the one point's last."""
    device = device_of(settings.device)
    centre, spread = _standard(learnt.prompts, settings.standardise and settings.compat is None)
    dead = np.asarray(~learnt.lead.any(axis=0))
    if dead.all():
        raise DataError("chosen and rejected have the same rewards in all pairs: nothing to learn")
    rows, few = (_tensors(part, centre, spread, device) for part in (learnt, chosen_by))
    found: list[Trained] = []
    devices = [device] if device.type == "cuda" else []
    with no_denormals(), torch.random.fork_rng(devices=devices):
        for point in settings_of(settings, learnt, dead):
            torch.manual_seed(seed)
            width = rows.prompts.shape[1]
            network = GateNetwork(width, settings, point, torch.from_numpy(dead)).to(device)
            loss, at = _fit(settings, network, point, rows, few)
            found.append(Trained(_folded(network, centre, spread), point, loss, at))
    return min(found, key=lambda trained: trained.loss)


def train_original(settings: GateSettings, learnt: GateExamples, seed: int) -> ConstantGate:
    """What the published script learns: one factor, and half of it as the weight of each."""
    device = device_of(settings.device)
    rows = _tensors(learnt, *_standard(learnt.prompts, False), device)
    network = PairAxis(learnt.lead.shape[1]).to(device)
    with no_denormals(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _fit(settings, network, GridPoint(1.0, 0.0, None, 1.0), rows, rows.at(torch.arange(0)))
    half = float(network.log_scale.detach().exp()) / 2
    return ConstantGate(np.full(learnt.lead.shape[1], half))


def settings_of(settings: GateSettings, learnt: GateExamples, dead: Array) -> Iterator[GridPoint]:
    """The grid; each starts at the best constant weights, or as the published script does."""
    if settings.compat is not None:
        yield GridPoint(settings.temperature[0], settings.entropy[0], None, settings.scale or 1.0)
        return
    weights = fit_weights(learnt.lead, learnt.margins, learnt.weights, settings.l2)
    weights = np.where(dead, 0, weights)
    scale = settings.scale or float(np.maximum(weights, 0).sum())
    if scale <= 0:
        mean = learnt.lead[:, ~dead].mean(axis=1)
        scale = abs(fit_scale(mean, learnt.margins, learnt.weights)) or 1.0
    for temperature, entropy in product(settings.temperature, settings.entropy):
        yield GridPoint(temperature, entropy, weights, scale)


def _standard(prompts: Array, wanted: bool) -> tuple[Array, Array]:
    if not wanted:
        return np.zeros(prompts.shape[1]), np.ones(prompts.shape[1])
    spread = prompts.std(axis=0, dtype=np.float64)
    floor = max(1e-3 * float(spread.mean()), 1e-12)
    return prompts.mean(axis=0, dtype=np.float64), np.maximum(spread, floor)


def _tensors(part: GateExamples, centre: Array, spread: Array, device: torch.device) -> Tensors:
    prompts = (part.prompts - centre.astype(np.float32)) / spread.astype(np.float32)
    arrays = (prompts, part.lead, part.margins, part.weights)
    found = (torch.from_numpy(np.asarray(values, np.float32)).to(device) for values in arrays)
    return Tensors(*found)


def _fit(
    settings: GateSettings,
    network: GateNetwork | PairAxis,
    point: GridPoint,
    rows: Tensors,
    few: Tensors,
) -> tuple[float, int]:
    """Trains in place, back to the best weights by held-out loss; gives that loss and its step."""
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    draws = torch.Generator().manual_seed(torch.initial_seed())
    count, watched = len(rows.margins), len(few.margins) > 0
    best, kept, at, worse = _loss_of(network, few) if watched else math.inf, _state(network), 0, 0
    autocast = torch.autocast(
        rows.prompts.device.type, torch.bfloat16, enabled=in_bfloat16(settings, rows.prompts.device)
    )
    for number in range(1, settings.steps + 1):
        drawn = torch.randint(count, (min(settings.batch, count),), generator=draws)
        batch = rows.at(drawn.to(rows.prompts.device))
        with autocast:
            logs = network(batch.prompts)
        loss = _objective(network, logs, batch, point.entropy)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if watched and number % settings.check_every == 0:
            now = _loss_of(network, few)
            worse += 1
            if now < best:
                best, kept, at, worse = now, _state(network), number, 0
            if worse >= settings.patience:
                break
    if not watched:
        return float(loss.detach()), settings.steps
    network.load_state_dict(kept)
    return best, at


def _objective(
    network: GateNetwork | PairAxis, logs: torch.Tensor, batch: Tensors, entropy: float
) -> torch.Tensor:
    shares = logs.exp()
    score = network.log_scale.exp() * (shares * batch.lead).sum(dim=1)
    loss = (batch.weights * functional.softplus(batch.margins - score)).mean()
    return loss if not entropy else loss + entropy * (shares * logs).sum(dim=1).mean()


def _loss_of(network: GateNetwork | PairAxis, rows: Tensors) -> float:
    network.eval()
    with torch.inference_mode():
        found = _objective(network, network(rows.prompts), rows, 0.0) / rows.weights.mean()
    network.train()
    return float(found)


def _state(network: GateNetwork | PairAxis) -> Mapping[str, torch.Tensor]:
    return {name: values.clone() for name, values in network.state_dict().items()}


def _folded(network: GateNetwork, centre: Array, spread: Array) -> NetworkGate:
    """For states as they are: centring and scaling go into the first layer, attributes that say
    nothing are switched off by the last bias."""
    layers = [
        tuple(part.detach().cpu().double().numpy() for part in (layer.weight, layer.bias))
        for layer in network.layers
    ]
    first = layers[0][0] / spread
    layers[0] = (first, layers[0][1] - first @ centre)
    off = np.asarray(network.dead.cpu().numpy())
    layers[-1] = (layers[-1][0], np.where(off, OFF * network.temperature, layers[-1][1]))
    whole = tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in layers)
    return NetworkGate(whole, float(network.log_scale.detach().exp()), network.temperature)


def in_bfloat16(settings: GateSettings, device: torch.device) -> bool:
    """Whether products are in bfloat16: as wished, or where the machine multiplies it faster and
    layers are wide enough to gain."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    if settings.gate != "mlp" or settings.hidden < WIDE:
        return False
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(able.get("amx_bf16") or able.get("avx512_bf16"))


@contextmanager
def no_denormals() -> Iterator[None]:
    """Numbers too small to be normal are 0 while this lasts: they would cost a hundredfold."""
    able = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if able:
            torch.set_flush_denormal(False)
