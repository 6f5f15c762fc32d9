"""A change of the states of one layer while a model runs: hooks on its network, removed after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from rmplug import DataError
from rmplug.arrays import Array
from rmplug_hf.tokens._batch import padded
from rmplug_hf.tokens._tokenizing import Tokens

if TYPE_CHECKING:
    from ._loading import Loaded

Positions = Literal["all", "last"]
TRIED = 8
"""Tokens of the trial that finds the module of a layer."""


@dataclass(frozen=True)
class AffineChange:
    """A change of states (…, d): ``x - ((x - mean) @ read.T) @ write + shift``.

    ``read`` and ``write`` have the shape (k, d), ``mean`` and ``shift`` (d,).
    """

    read: Array
    write: Array
    mean: Array
    shift: Array

    def apply(self, states: Array) -> Array:
        """Return changed states (rows, d), in float64."""
        return np.asarray(states - ((states - self.mean) @ self.read.T) @ self.write + self.shift)

    def fold(self, weights: Array, bias: Array) -> tuple[Array, Array]:
        """Return the linear head (outputs, d) and (outputs,) that gives on states as they are what
        this head gives on changed ones."""
        moved = weights @ self.write.T @ self.read
        return weights - moved, bias + moved @ self.mean + weights @ self.shift


@dataclass(frozen=True)
class StateChange:
    """A change of the hidden states of ``layer`` (0 the embeddings), of all tokens or of the last
    one of each row; what comes after the layer sees changed states."""

    layer: int
    change: AffineChange
    positions: Positions
    module: str
    """The module of the network whose output these states are."""

    @contextmanager
    def on(self, network: Any) -> Iterator[None]:
        """Change the states of a network within the context."""
        body, hooked = network.base_model, network.get_submodule(self.module)
        lengths: list[torch.Tensor] = []

        def remember(_: Any, __: Any, given: Mapping[str, Any]) -> None:
            lengths[:] = [given["attention_mask"].sum(dim=1)]

        def changed(_: Any, __: Any, output: Any) -> Any:
            states = self._changed(states_in(output), lengths[0])
            return with_states(output, states)

        handles = [
            body.register_forward_pre_hook(remember, with_kwargs=True),
            hooked.register_forward_hook(changed, prepend=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _changed(self, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Change states (rows, tokens, d): computed in float32, returned in their own type."""
        numbers = (self.change.read, self.change.write, self.change.mean, self.change.shift)
        read, write, mean, shift = (
            torch.from_numpy(n).to(states.device, torch.float32) for n in numbers
        )
        x = states.float()
        changed = x - ((x - mean) @ read.T) @ write + shift
        if self.positions == "last":
            places = torch.arange(states.shape[1], device=states.device)
            changed = torch.where((places == lengths[:, None] - 1)[..., None], changed, x)
        return changed.to(states.dtype)


def states_in(output: Any) -> Any:
    """Return the states in a module's output: itself, or the first of several."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, tuple | list) or hasattr(output, "keys"):
        return output[0] if len(output) else None
    return None


def with_states(output: Any, states: torch.Tensor) -> Any:
    """Return a module's output with other states in it."""
    if isinstance(output, torch.Tensor):
        return states
    if isinstance(output, tuple):
        return (states, *output[1:])
    output[next(iter(output))] = states
    return output


def state_change(
    loaded: Loaded, layer: int, change: AffineChange, positions: Positions
) -> StateChange:
    """Find the module whose output is the states of a layer, by a trial on tokens of its own: the
    first that gives them, whose change the model is then seen to carry on. Raises DataError."""
    with torch.inference_mode():
        states, given = _trial(loaded)
        count = len(states)
        if not -count <= layer < count:
            raise DataError(
                f"the model has the layers 0 (embeddings) to {count - 1}; there is no {layer}"
            )
        layer %= count
        width = states[layer].shape[-1]
        if change.mean.shape != (width,):
            raise DataError(
                f"the directions are of states of {len(change.mean)} numbers, those of layer "
                f"{layer} have {width}; fit them on states of this model"
            )
        for module in [name for name, output in given if torch.equal(output, states[layer])]:
            found = StateChange(layer, change, positions, module)
            if _is_carried_on(loaded, found, states[layer]):
                return found
    raise DataError(
        f"the states of layer {layer} of {type(loaded.model).__name__} are the output of none of "
        "its modules, so that they cannot be changed; choose another layer"
    )


def _trial(loaded: Loaded) -> tuple[list[torch.Tensor], list[tuple[str, torch.Tensor]]]:
    """Run a few tokens: the states of each layer, and the outputs of modules as they end."""
    given: list[tuple[str, torch.Tensor]] = []

    def note(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            states = states_in(output)
            if isinstance(states, torch.Tensor) and states.dim() == 3:
                given.append((name, states.clone()))

        return hook

    network = loaded.model
    handles = [m.register_forward_hook(note(n)) for n, m in network.named_modules() if n]
    try:
        states = _run(loaded)
    finally:
        for handle in handles:
            handle.remove()
    return states, given


def _run(loaded: Loaded) -> list[torch.Tensor]:
    """Return the states of each layer on tokens at random; the last as the model's body gives
    them."""
    ids = np.random.default_rng(0).integers(loaded.vocabulary, size=TRIED)
    batch = padded([Tokens(ids, 0, TRIED)], loaded.pad, loaded.vocabulary, loaded.device)
    assert batch is not None
    output = loaded.model.base_model(**batch.arguments(), output_hidden_states=True)
    return [*(states.clone() for states in output.hidden_states[:-1]), output[0].clone()]


def _is_carried_on(loaded: Loaded, found: StateChange, before: torch.Tensor) -> bool:
    """Check whether the model's states of the layer are changed as they should."""
    shift = np.ones(before.shape[-1])
    nothing = np.zeros((1, before.shape[-1]))
    trial = AffineChange(nothing, nothing, nothing[0], shift)
    with StateChange(found.layer, trial, "all", found.module).on(loaded.model):
        after = _run(loaded)[found.layer]
    return bool(torch.allclose(after.float(), before.float() + 1, rtol=1e-2, atol=1e-3))
