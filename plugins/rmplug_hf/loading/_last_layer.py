"""The last layer of a network, computed for those tokens alone whose output is read.

Keys and values of a layer come from every token. What the last layer computes from them is read of
one token of a row, as a rule, and of the others by nothing. Hooks leave these out while batches are
run: weights, names and code of the network stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._prompt_states import added_to
from rmplug_hf.tokens._reads import Place

Change: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Attend: TypeAlias = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class LastLayer:
    """The last layer of a network, and modules that give of a token what depends on that token
    alone, by their names: ``inner`` within the layer, ``outer`` after it.

    ``attention`` is true where queries may be left out, too. ``place`` is the token of a row that a
    head reads, None where there is no head, or one that reads others.
    """

    layer: str
    inner: tuple[str, ...]
    outer: tuple[str, ...]
    attention: bool
    place: Place | None

    def is_seen(self, network: Any) -> bool:
        """Check whether somebody's hooks see what would be left out, as those see activations for
        whose sake layers are not fused."""
        return any(
            module._forward_hooks or module._forward_pre_hooks
            for name in (*self.inner, *self.outer)
            for module in network.get_submodule(name).modules()
        )

    @contextmanager
    def on(self, network: Any) -> Iterator[Selection]:
        """Compute the layer for the tokens of a selection alone within the context."""
        selection = Selection()
        layer = network.get_submodule(self.layer)
        handles = [layer.register_forward_pre_hook(selection.see, with_kwargs=True)]
        for names, choose, spread in (
            (self.inner, selection.choose, selection.spread),
            (self.outer, selection.choose_one, selection.spread_one),
        ):
            for name in names:
                handles += change_states(network.get_submodule(name), choose, spread)
        try:
            with attention_by(layer, selection.attend if self.attention else None):
                yield selection
        finally:
            for handle in handles:
                handle.remove()


class Selection:
    """The tokens of a batch whose output is read: ``at``, their indices, of shape (rows, tokens
    read), None for all. Where no token is read NaN is put, so that what is read of it shows: no
    trial knows all that a model may do with longer rows, or with tokens of a meaning. What is wider
    than the states, which others are made of, is anything there: to write it takes long."""

    def __init__(self) -> None:
        self.at: torch.Tensor | None = None
        self._next: Callable[[torch.Tensor], torch.Tensor | None] = _all
        self._shape: tuple[int, ...] = ()
        self._width = 0

    def of(self, forward: Callable[[Batch], torch.Tensor]) -> Callable[[Batch], torch.Tensor]:
        """Return a forward pass for what is read of its batch; for all where that is most of it,
        and where more shows to be read."""

        def narrowed(batch: Batch) -> torch.Tensor:
            reads, longest = batch.reads, batch.ids.shape[1]
            if reads is None or 2 * reads.shape[1] > longest:
                return forward(batch)
            with self._given(lambda _: reads):
                given = forward(replace(batch, cache=added_to(batch.cache)))
            return forward(batch) if given.isnan().any() else given

        return narrowed

    def of_prompts(self, run: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
        """Return a run of prompts for what follows them, which reads their keys and values alone:
        the first token stands for their output."""

        def first(states: torch.Tensor) -> torch.Tensor:
            return torch.zeros((len(states), 1), dtype=torch.long, device=states.device)

        def narrowed(ids: torch.Tensor) -> Any:
            with self._given(first):
                return run(ids)

        return narrowed

    @contextmanager
    def _given(self, of: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
        self._next = of
        try:
            yield
        finally:
            self._next, self.at = _all, None

    def see(self, _: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Take the tokens that are read of the states (rows, tokens, width) that the layer is
        given."""
        states = next(x for x in (*args, *named.values()) if is_states(x))
        self._shape, self._width = tuple(states.shape[:2]), states.shape[2]
        self.at = self._next(states)

    def choose(self, states: torch.Tensor) -> torch.Tensor:
        """Take the tokens that are read out of states: (rows, tokens read, …)."""
        known = self.at is not None and tuple(states.shape[:2]) == self._shape
        return states[self._indices] if known else states

    def spread(self, given: torch.Tensor) -> torch.Tensor:
        """Put what is computed of tokens that are read where they are: (rows, tokens, …)."""
        if self.at is None or given.shape[:2] != self.at.shape:
            return given
        if self._is_one and given.shape[-1] > self._width:
            return given.expand(*self._shape, *given.shape[2:])
        spread = given.new_full((*self._shape, *given.shape[2:]), torch.nan)
        spread[self._indices] = given
        return spread

    def choose_one(self, states: torch.Tensor) -> torch.Tensor:
        """Take the tokens, where one of each row is read: what is after the layer may be as wide as
        a vocabulary, and of more tokens would be there twice."""
        return self.choose(states) if self._is_one else states

    def spread_one(self, given: torch.Tensor) -> torch.Tensor:
        """Put what is computed where its tokens are, where one of each row is read."""
        return self.spread(given) if self._is_one else given

    def attend(self, attention: Attend, query: Any, *args: Any, **named: Any) -> torch.Tensor:
        """Compute attention, of shape (rows, heads, tokens, d), of the tokens that are read."""
        (rows, tokens), mask = self._shape, named.get("attn_mask")
        causal = named.get("is_causal", False)
        known = self.at is not None and len(args) == 2 and query.shape[::2] == self._shape
        known = known and (mask is None or (mask.dim() == 4 and mask.shape[2] == tokens))
        if not known or (causal and args[0].shape[2] != tokens):
            return attention(query, *args, **named)
        assert self.at is not None
        if mask is not None:
            mask = self.choose(mask.expand(rows, -1, -1, -1).transpose(1, 2)).transpose(1, 2)
        elif causal:
            mask = (torch.arange(tokens, device=query.device) <= self.at[..., None])[:, None]
        few = self.choose(query.transpose(1, 2)).transpose(1, 2)
        given = attention(few, *args, **{**named, "attn_mask": mask, "is_causal": False})
        return self.spread(given.transpose(1, 2)).transpose(1, 2)

    @property
    def _is_one(self) -> bool:
        return self.at is not None and self.at.shape[1] == 1

    @property
    def _indices(self) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.at is not None
        return torch.arange(len(self.at), device=self.at.device)[:, None], self.at


def _all(_: torch.Tensor) -> None:
    """Return None: all tokens are read."""


def is_states(value: Any) -> bool:
    """Check for a tensor of shape (rows, tokens, width)."""
    return isinstance(value, torch.Tensor) and value.dim() == 3 and value.is_floating_point()


def change_states(module: Any, before: Change, after: Change) -> list[Any]:
    """Change the states that a module is given, and those that it gives: return the hooks, to be
    removed. The module raises TypeError where it gives something else."""

    def enter(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        changed = [before(x) if is_states(x) else x for x in args]
        return tuple(changed), {n: before(x) if is_states(x) else x for n, x in named.items()}

    def leave(_: Any, __: Any, given: Any) -> Any:
        if not is_states(given):
            raise TypeError(f"{type(module).__name__} gives no states")
        return after(given)

    return [
        module.register_forward_pre_hook(enter, with_kwargs=True),
        module.register_forward_hook(leave),
    ]


@contextmanager
def attention_by(layer: Any, attend: Attend | None) -> Iterator[None]:
    """Have PyTorch's attention within a layer computed by ``attend``, which is given the function
    and its arguments. The layer's method is replaced in the object alone, for the context."""
    if attend is None:
        yield
        return
    forward, own = layer.forward, layer.__dict__.get("forward")

    def watched(*args: Any, **named: Any) -> Any:
        with _Attention(attend):
            return forward(*args, **named)

    layer.forward = watched
    try:
        yield
    finally:
        del layer.forward
        if own is not None:
            layer.forward = own


class _Attention(TorchFunctionMode):  # type: ignore[misc]
    """A watch for calls of attention: no hook of a module sees them."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.scaled_dot_product_attention:
            return self.attend(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
