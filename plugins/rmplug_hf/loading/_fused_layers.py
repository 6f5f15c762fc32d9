"""Linear layers of a network on a CPU, computed by oneDNN together with what follows them.

PyTorch computes a float32 ``nn.Linear`` on a CPU by MKL, writes the bias first, and runs the
activation as an operation of its own; a bfloat16 one it gives to oneDNN, which orders the weights
anew each time. oneDNN does all of it at once, as in what PyTorch compiles. Its operations are
called here without compilation, which takes longer than many runs do.

The classes of a network's layers are replaced by subclasses of them: weights, names, hooks, copies
and training stay what they were. The other computation is used in inference alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import local
from typing import Any, TypeAlias

import torch
from torch import nn

Activation: TypeAlias = tuple[str, str]
"""The name and the algorithm of an activation of oneDNN; two empty texts for none."""

NONE: Activation = ("none", "")
ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    ("gelu", "none"): nn.functional.gelu,
    ("gelu", "tanh"): lambda x: nn.functional.gelu(x, approximate="tanh"),
    ("swish", ""): nn.functional.silu,
    ("relu", ""): nn.functional.relu,
    ("tanh", ""): torch.tanh,
}
GRID = torch.linspace(-6.0, 6.0, 241)
"""Where an activation is compared: the two forms of GELU differ by up to 5e-4 there."""
NEAR = 1e-6
FORMATS = (torch.float32, torch.bfloat16)
MOST_PACKED = 1 << 30
"""Bytes of weights that are kept twice, at most, while batches are run."""
FEWEST_ROWS = 64
"""Vectors for which weights pay that are put into another order for them alone."""


class _Way(local):
    """How this thread computes."""

    plain = False


way = _Way()


@contextmanager
def plainly() -> Iterator[None]:
    """Have layers compute as PyTorch does within the context, in this thread."""
    before, way.plain = way.plain, True
    try:
        yield
    finally:
        way.plain = before


class FusedLinear(nn.Linear):  # type: ignore[misc]
    """A linear layer that oneDNN computes in inference; trained, it is ``nn.Linear``."""

    packed: torch.Tensor | None = None
    """The weights in the order in which oneDNN reads them, while batches are run."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.is_fused(input):
            return super().forward(input)
        return self.activated(input, NONE)

    def is_fused(self, x: torch.Tensor) -> bool:
        """Check that oneDNN may compute this layer of an input, and is faster."""
        weight = self.weight
        return (
            torch.is_inference_mode_enabled()
            and not way.plain
            and x.dtype == weight.dtype
            and x.dtype in FORMATS
            and x.device.type == weight.device.type == "cpu"
            and x.numel() >= (1 if self.packed is not None else FEWEST_ROWS) * x.shape[-1] > 0
            and not torch.is_autocast_enabled("cpu")
        )

    def activated(self, x: torch.Tensor, activation: Activation) -> torch.Tensor:
        """Compute the layer and an activation."""
        name, algorithm = activation
        given: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._read, self.bias, name, [], algorithm
        )
        return given

    def times(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Compute the layer, and multiply what it gives by another tensor."""
        given: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x, other, self._read, self.bias, "mul"
        )
        return given

    @property
    def _read(self) -> torch.Tensor:
        return self.weight if self.packed is None else self.packed


# layers are told by the names of their classes, as in the list of those that are quantized
FusedLinear.__name__ = FusedLinear.__qualname__ = nn.Linear.__name__


class _Activated:
    """A module of a linear layer and its activation."""

    _fused: tuple[str, Activation]

    def forward(self, *args: torch.Tensor, **named: Any) -> Any:
        linear, activation = getattr(self, self._fused[0]), self._fused[1]
        if named or len(args) != 1 or not is_bare(self, linear) or not linear.is_fused(*args):
            return super().forward(*args, **named)  # type: ignore[misc]
        return linear.activated(*args, activation)


class _Gated:
    """A feed-forward whose activated gate is multiplied by a linear layer."""

    _fused: tuple[str, Activation]
    gate_proj: Any
    up_proj: Any
    down_proj: Any

    def forward(self, *args: torch.Tensor, **named: Any) -> Any:
        gate, up = self.gate_proj, self.up_proj
        if named or len(args) != 1 or not is_bare(self, gate, up) or not gate.is_fused(*args):
            return super().forward(*args, **named)  # type: ignore[misc]
        return self.down_proj(up.times(*args, gate.activated(*args, self._fused[1])))


def is_bare(module: Any, *layers: Any) -> bool:
    """Check that layers of a module are still what was fused, and that nothing looks at what goes
    in and out of its parts: adapters replace layers, and hooks see the activation."""
    return all(type(layer) is FusedLinear for layer in layers) and not any(
        child._forward_hooks or child._forward_pre_hooks or "forward" in child.__dict__
        for child in module.children()
    )


def fuse_layers(network: nn.Module) -> None:
    """Have the linear layers of a network computed by oneDNN in inference, with the activations and
    gates behind them, where it gives what the network's own code gives."""
    every = list(network.modules())
    for module in every:
        if type(module) is nn.Linear and _is_known(module):
            module.__class__ = FusedLinear
    for module in every:
        _fuse_module(module)


def _fuse_module(module: nn.Module) -> None:
    """Fuse a module of a linear layer and an activation, or a gated feed-forward."""
    children = dict(module.named_children())
    linear = [name for name, child in children.items() if type(child) is FusedLinear]
    others = [child for name, child in children.items() if name not in linear]
    how: type | None = {1: _Activated, 3: _Gated}.get(len(linear))
    if len(others) != 1 or how is None:
        return
    if how is _Gated and set(linear) != {"gate_proj", "up_proj", "down_proj"}:
        return
    activation = _activation_of(others[0])
    if activation is None:
        return
    own: type = type(module)
    first = "gate_proj" if how is _Gated else linear[0]
    module._fused = (first, activation)
    module.__class__ = _fused_class(how, own)
    if not _is_same(module, children[first]):
        module.__class__ = own


@cache
def _fused_class(how: type, own: type) -> type:
    """Return a class of modules that compute by ``how`` in inference, and else as their own."""
    return type(own.__name__, (how, own), {"__module__": own.__module__})


def _activation_of(module: nn.Module) -> Activation | None:
    """Return the activation of oneDNN that computes what a module without weights does."""
    if any(True for _ in module.parameters()) or any(True for _ in module.children()):
        return None
    with torch.inference_mode():
        try:
            given = module(GRID.clone())
        except Exception:  # whatever a module raises that is no activation
            return None
        for activation, compute in ACTIVATIONS.items():
            near = isinstance(given, torch.Tensor) and given.shape == GRID.shape
            if near and torch.allclose(given, compute(GRID), rtol=0, atol=NEAR):
                return activation
    return None


def _is_same(module: nn.Module, first: Any) -> bool:
    """Check, on numbers at random, that a fused module gives what its own code does."""
    shape = (2, FEWEST_ROWS, first.weight.shape[1])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(first.weight.dtype)
    with torch.inference_mode():
        try:
            fused = module(x)
            with plainly():
                own = module(x)
        except Exception:  # whatever a module raises that wants other inputs
            return False
    return _is_near(fused, own)


def _is_near(one: Any, other: Any) -> bool:
    """Check that tensors are the same, up to rounding of their numbers."""
    if not isinstance(other, torch.Tensor) or one.shape != other.shape:
        return False
    # bfloat16 is rounded once less where an activation is not computed from rounded numbers
    times = 50 if other.dtype == torch.float32 else 4
    allowed = times * torch.finfo(other.dtype).eps * max(1.0, float(other.abs().max()))
    return bool((one - other).abs().max() <= allowed)


def _is_known(module: nn.Module) -> bool:
    """Check that oneDNN computes a linear layer of this number format here."""
    formats = {parameter.dtype for parameter in module.parameters()}
    return len(formats) == 1 and has_linear(*formats)


@cache
def has_linear(dtype: torch.dtype = torch.float32) -> bool:
    """Check that oneDNN is there, computes layers of a number format, and does it right."""
    if dtype not in FORMATS or not torch.backends.mkldnn.is_available():
        return False
    numbers = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 32, generator=numbers).to(dtype) for n in (FEWEST_ROWS, 16))
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        given = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except Exception:  # whatever another build of PyTorch, or another processor, raises
        return False
    return _is_near(given, nn.functional.linear(x, weight))


@contextmanager
def packed_weights(network: nn.Module) -> Iterator[None]:
    """Keep weights in the order in which oneDNN reads them within the context, where they fit into
    memory twice: weights change in training, and nothing is stale after it."""
    layers = [one for one in network.modules() if type(one) is FusedLinear and one.packed is None]
    size = sum(layer.weight.numel() * layer.weight.itemsize for layer in layers)
    chosen = [layer for layer in layers if size <= MOST_PACKED and not way.plain]
    try:
        with torch.inference_mode():
            for layer in chosen:
                if layer.weight.device.type == "cpu" and layer.weight.dtype in FORMATS:
                    layer.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight, None)
        yield
    finally:
        for layer in chosen:
            layer.packed = None
