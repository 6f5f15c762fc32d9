"""Training a gate over attributes by Bradley-Terry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch.nn import functional

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.devices import device_of

from ._constant import fit_scale, fit_weights
from ._examples import GateExamples
from ._gate import ConstantGate, NetworkGate
from ._networks import GateNetwork, PairAxis, PromptNetwork, SignedNetwork, SoftmaxNetwork
from ._settings import GateSettings

WIDE = 512


@dataclass(frozen=True)
class GridPoint:
    """One combination of the grid, with the start of its training."""

    temperature: float
    entropy: float
    start: Array | None
    """Weights (K,) of a constant gate to start from; None starts as the layers are drawn."""
    scale: float


@dataclass(frozen=True)
class Trained:
    """A trained gate, with its grid point, loss and number of steps."""

    gate: NetworkGate
    point: GridPoint
    loss: float
    step: int


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
    """Train the grid and return the network with the least loss on the rows to choose by; without
    such rows, train one point and return its last state."""
    device = device_of(settings.device)
    centre, spread = _standard(learnt.prompts, settings.standardise and settings.compat is None)
    dead = np.asarray(~learnt.lead.any(axis=0))
    if dead.all():
        raise DataError("chosen and rejected have the same rewards in all pairs: nothing to learn")
    rows, few = (_tensors(part, centre, spread, device) for part in (learnt, chosen_by))
    candidates: list[Trained] = []
    devices = [device] if device.type == "cuda" else []
    with no_denormals(), torch.random.fork_rng(devices=devices):
        for point in settings_of(settings, learnt, dead):
            torch.manual_seed(seed)
            network = _network(settings, point, learnt, dead).to(device)
            loss, at = _fit(settings, network, point, rows, few)
            candidates.append(Trained(_folded(network, centre, spread), point, loss, at))
    return min(candidates, key=lambda trained: trained.loss)


def train_original(settings: GateSettings, learnt: GateExamples, seed: int) -> ConstantGate:
    """Train as the published script does: one factor, half of which is the weight of each
    attribute."""
    device = device_of(settings.device)
    rows = _tensors(learnt, *_standard(learnt.prompts, False), device)
    network = PairAxis(learnt.lead.shape[1]).to(device)
    with no_denormals(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _fit(settings, network, GridPoint(1.0, 0.0, None, 1.0), rows, rows.at(torch.arange(0)))
    half = float(network.log_scale.detach().exp()) / 2
    return ConstantGate(np.full(learnt.lead.shape[1], half))


def settings_of(settings: GateSettings, learnt: GateExamples, dead: Array) -> Iterator[GridPoint]:
    """List the grid; each point starts at the best constant weights, or as the published script."""
    if settings.compat is not None:
        yield GridPoint(settings.temperature[0], settings.entropy[0], None, settings.scale or 1.0)
        return
    weights = fit_weights(learnt.lead, learnt.margins, learnt.weights, settings.l2)
    weights = np.where(dead, 0, weights)
    if settings.weights == "signed":
        yield GridPoint(1.0, 0.0, weights, 1.0)
        return
    scale = settings.scale or float(np.maximum(weights, 0).sum())
    if scale <= 0:
        mean = learnt.lead[:, ~dead].mean(axis=1)
        scale = abs(fit_scale(mean, learnt.margins, learnt.weights)) or 1.0
    for temperature, entropy in product(settings.temperature, settings.entropy):
        yield GridPoint(temperature, entropy, weights, scale)


def _network(
    settings: GateSettings, point: GridPoint, learnt: GateExamples, dead: Array
) -> PromptNetwork:
    """Make the network of one point, at the start of its training."""
    width = learnt.prompts.shape[1]
    if settings.weights == "signed":
        sizes = np.sqrt((learnt.lead**2).mean(axis=0))
        units = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=~dead)
        start = np.zeros_like(units) if point.start is None else point.start
        return SignedNetwork(width, settings, units, start)
    return SoftmaxNetwork(width, settings, dead, point.temperature, point.scale, point.start)


def _standard(prompts: Array, wanted: bool) -> tuple[Array, Array]:
    if not wanted:
        return np.zeros(prompts.shape[1]), np.ones(prompts.shape[1])
    spread = prompts.std(axis=0, dtype=np.float64)
    floor = max(1e-3 * float(spread.mean()), 1e-12)
    return prompts.mean(axis=0, dtype=np.float64), np.maximum(spread, floor)


def _tensors(part: GateExamples, centre: Array, spread: Array, device: torch.device) -> Tensors:
    prompts = (part.prompts - centre.astype(np.float32)) / spread.astype(np.float32)
    arrays = (prompts, part.lead, part.margins, part.weights)
    tensors = (torch.from_numpy(np.asarray(values, np.float32)).to(device) for values in arrays)
    return Tensors(*tensors)


class Best:
    """The weights of a network with the least loss so far on watched examples."""

    def __init__(self, network: GateNetwork, few: Tensors) -> None:
        self.network, self.few = network, few
        self.loss, self.weights = _loss_of(network, few), _state(network)
        self.step = self.worse = 0

    def measure(self, step: int) -> None:
        """Measure the network after a step; ``worse`` counts the measurements since the best."""
        loss = _loss_of(self.network, self.few)
        self.worse += 1
        if loss < self.loss:
            self.loss, self.weights = loss, _state(self.network)
            self.step, self.worse = step, 0


def _fit(
    settings: GateSettings,
    network: GateNetwork,
    point: GridPoint,
    rows: Tensors,
    few: Tensors,
) -> tuple[float, int]:
    """Train in place, then restore the weights with the least loss on ``few``; returns that loss
    and its step."""
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    draws = torch.Generator().manual_seed(torch.initial_seed())
    best = Best(network, few) if len(few.margins) else None
    for number in range(1, settings.steps + 1):
        loss = _batch_loss(settings, network, point, rows, draws)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if best is not None and number % settings.check_every == 0:
            best.measure(number)
            if best.worse >= settings.patience:
                break
    if best is None:
        return float(loss.detach()), settings.steps
    network.load_state_dict(best.weights)
    return best.loss, best.step


def _batch_loss(
    settings: GateSettings,
    network: GateNetwork,
    point: GridPoint,
    rows: Tensors,
    draws: torch.Generator,
) -> torch.Tensor:
    """Compute the objective on rows drawn with replacement."""
    count, device = len(rows.margins), rows.prompts.device
    drawn = torch.randint(count, (min(settings.batch, count),), generator=draws)
    batch = rows.at(drawn.to(device))
    with torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16(settings, device)):
        outputs = network(batch.prompts)
    return _objective(network, outputs, batch, point.entropy)


def _objective(
    network: GateNetwork, outputs: torch.Tensor, batch: Tensors, entropy: float
) -> torch.Tensor:
    score = network.score(outputs, batch.lead)
    loss = (batch.weights * functional.softplus(batch.margins - score)).mean()
    # an entropy weight is that of a softmax, whose network gives logarithms of shares
    return loss if not entropy else loss + entropy * (outputs.exp() * outputs).sum(dim=1).mean()


def _loss_of(network: GateNetwork, rows: Tensors) -> float:
    network.eval()
    with torch.inference_mode():
        loss = _objective(network, network(rows.prompts), rows, 0.0) / rows.weights.mean()
    network.train()
    return float(loss)


def _state(network: GateNetwork) -> Mapping[str, torch.Tensor]:
    return {name: values.clone() for name, values in network.state_dict().items()}


def _folded(network: PromptNetwork, centre: Array, spread: Array) -> NetworkGate:
    """Fold centring and scaling into the first layer, so that the gate reads raw states."""
    layers = [
        tuple(part.detach().cpu().double().numpy() for part in (layer.weight, layer.bias))
        for layer in network.layers
    ]
    first = layers[0][0] / spread
    layers[0] = (first, layers[0][1] - first @ centre)
    layers[-1] = network.fold(*layers[-1])
    whole = tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in layers)
    return NetworkGate(whole, network.scale(), network.temperature, network.signed)


def in_bfloat16(settings: GateSettings, device: torch.device) -> bool:
    """Check whether products are in bfloat16: as set, or where the machine multiplies it faster and
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
    """Treat denormal numbers as 0 inside the context: they would be a hundred times slower."""
    able = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if able:
            torch.set_flush_denormal(False)
