"""The search for what the last layer of a network may leave out, whatever its architecture is.

A module is found by what it does: with NaN in the place of all tokens but those that are read, in
what the module is given and gives, the layer still gives the same of the tokens that are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rmplug_hf.tokens._batch import Batch, padded
from rmplug_hf.tokens._reads import Place, read_of, reads_at

from ._last_layer import Attend, LastLayer, attention_by, change_states
from ._state_change import states_in, with_states
from ._trials import body_output, gives_the_same, output_of, random_rows

if TYPE_CHECKING:
    from ._loading import Loaded

LENGTHS = (8, 5)
"""Tokens of the rows of a trial, so that some are padding."""
PLACES: tuple[Place, ...] = ("last but padding", "last", "first")


@dataclass(frozen=True)
class Call:
    """A call of a module in a forward pass, and how many numbers it gives of every token; 0 where
    it gives something else."""

    name: str
    width: int


@dataclass(frozen=True)
class Seen:
    """The calls of a forward pass in their order, the last layer, what it was given, and the states
    that it gave."""

    calls: tuple[Call, ...]
    layer: str
    args: tuple[Any, ...]
    named: dict[str, Any]
    states: torch.Tensor

    def once(self, within: bool, widest: float = inf) -> list[str]:
        """Return the modules that give states no wider than that, are called once, and that within
        the last layer, or after it."""
        names = [call.name for call in self.calls]
        behind = self.calls[names.index(self.layer) + 1 :]
        return [
            call.name
            for call in behind
            if 0 < call.width <= widest
            and names.count(call.name) == 1
            and call.name.startswith(f"{self.layer}.") == within
        ]

    def is_after(self, name: str, other: str) -> bool:
        """Check whether a module is called after another."""
        names = [call.name for call in self.calls]
        return names.index(name) > names.index(other)


@dataclass(frozen=True)
class Run:
    """A run of a network or of a part of it, what it gave, and the tokens that are read of that, of
    shape (rows, tokens read); where it gives one vector for a row, that is read."""

    again: Callable[[], torch.Tensor]
    own: torch.Tensor
    reads: torch.Tensor

    def is_same(self) -> bool:
        """Run again, and check that what is read is the same."""
        return gives_the_same(_at(self.own, self.reads), _at(self.again(), self.reads))


def find_last_layer(loaded: Loaded) -> LastLayer | None:
    """Find the last layer of a network and what of it may be left out, by trials on tokens of its
    own; None where nothing may."""
    try:
        with torch.inference_mode():
            return _find(loaded)
    except Exception:  # whatever a model raises whose layers are of another form
        return None


def _find(loaded: Loaded) -> LastLayer | None:
    rows = random_rows(loaded, LENGTHS)
    if loaded.pad is not None:  # tells a head that looks for it from one that looks at the mask
        rows[0].ids[[len(rows[0]) // 2, -1]] = loaded.pad
    batch = padded(rows, loaded.pad, loaded.vocabulary, loaded.device)
    assert batch is not None
    own, seen = _watch(loaded, batch)
    if seen is None:
        return None

    def read(place: Place) -> torch.Tensor:
        return torch.from_numpy(read_of(rows, reads_at(place, loaded.pad))).to(loaded.device)

    place = _place(loaded, seen, batch, own, read)
    layer = Run(lambda: _layer_output(loaded, seen), seen.states, read("last"))
    whole = Run(lambda: output_of(loaded, batch), own, read(place or "last"))
    if place is None and own.dim() == 2:  # what is asked of it are states
        whole = replace(whole, again=lambda: body_output(loaded, batch))
        whole = replace(whole, own=whole.again())
    attention = _leaves_queries(loaded.model.get_submodule(seen.layer), layer)
    inner = _found(loaded.model, seen.once(within=True), layer)
    if not attention:
        # before keys and values there are only queries, all of which attention takes
        refused = [name for name in seen.once(within=True) if not _is_in(name, inner)]
        inner = [name for name in inner if not refused or seen.is_after(name, refused[-1])]
    # what a head reads of logits is its own affair: all are computed
    widest = seen.states.shape[2] if own.dim() == 2 else inf
    outer = _found(loaded.model, seen.once(within=False, widest=widest), whole)
    found = LastLayer(seen.layer, tuple(inner), tuple(outer), attention, place)
    return found if _is_right(loaded, found, batch, layer, whole) else None


def _layer_output(loaded: Loaded, seen: Seen) -> torch.Tensor:
    layer = loaded.model.get_submodule(seen.layer)
    given: torch.Tensor = states_in(layer(*seen.args, **seen.named))
    return given


def _watch(loaded: Loaded, batch: Batch) -> tuple[torch.Tensor, Seen | None]:
    """Run a batch: return what it gives, and what was seen of it. The last layer is the last module
    called of those that stand in lists; None where there is none, or it is called twice."""
    network = loaded.model
    modules = {name: module for name, module in network.named_modules() if name}
    lists = {name for name, module in modules.items() if isinstance(module, nn.ModuleList)}
    layers = {name for name in modules if name.rpartition(".")[0] in lists}
    layers = {n for n in layers if not any(n.startswith(f"{other}.") for other in layers)}
    calls: list[Call] = []
    found: list[Any] = []

    def note(name: str) -> list[Any]:
        places: list[int] = []

        def enter(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            places.append(len(calls))
            calls.append(Call(name, 0))
            if name in layers:
                found[:] = [name, args, named]

        def leave(_: Any, __: Any, output: Any) -> None:
            is_so = isinstance(output, torch.Tensor) and output.dim() == 3
            if is_so and output.shape[:2] == batch.ids.shape:
                calls[places[-1]] = Call(name, output.shape[2])
            if name in layers:
                found[3:] = [states_in(output)]

        enters = modules[name].register_forward_pre_hook(enter, with_kwargs=True)
        return [enters, modules[name].register_forward_hook(leave)]

    handles = [handle for name in modules for handle in note(name)]
    try:
        own = output_of(loaded, batch)
    finally:
        for handle in handles:
            handle.remove()
    is_one = bool(found) and [call.name for call in calls].count(found[0]) == 1
    return own, Seen(tuple(calls), *found) if is_one else None


def _place(
    loaded: Loaded,
    seen: Seen,
    batch: Batch,
    own: torch.Tensor,
    read: Callable[[Place], torch.Tensor],
) -> Place | None:
    """Return the token that the head reads: the one that is enough of the states of the layer."""
    layer = loaded.model.get_submodule(seen.layer)
    for place in PLACES if own.dim() == 2 else ():
        at = read(place)

        def leave(_: Any, __: Any, output: Any, at: torch.Tensor = at) -> Any:
            return with_states(output, _poisoned(states_in(output), at))

        handle = layer.register_forward_hook(leave)
        try:
            if gives_the_same(own, output_of(loaded, batch)):
                return place
        finally:
            handle.remove()
    return None


def _leaves_queries(layer: Any, run: Run) -> bool:
    """Check whether a layer computes attention by PyTorch's function, and reads of what that gives
    the tokens alone that are read of the layer."""
    asked: list[Any] = []

    def attend(attention: Attend, query: Any, *args: Any, **named: Any) -> torch.Tensor:
        asked.append(query)
        given = attention(query, *args, **named).transpose(1, 2)
        return _poisoned(given, run.reads).transpose(1, 2)

    with attention_by(layer, attend):
        same = run.is_same()
    return same and len(asked) == 1


def _found(network: Any, names: Sequence[str], run: Run) -> list[str]:
    """Return the modules, outermost first, without which for other tokens than those that are read
    a run gives the same of these."""
    found = list[str]()
    for name in names:
        if _is_in(name, found):
            continue
        with _blinded(network.get_submodule(name), run.reads):
            try:
                same = run.is_same()
            except (RuntimeError, TypeError, ValueError, IndexError):  # of other inputs, or of NaN
                same = False
        if same:
            found.append(name)
    return found


@contextmanager
def _blinded(module: Any, reads: torch.Tensor) -> Iterator[None]:
    """Put NaN into what a module is given and gives, but of tokens that are read."""

    def blind(states: torch.Tensor) -> torch.Tensor:
        return _poisoned(states, reads)

    handles = change_states(module, blind, blind)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _poisoned(states: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    others = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    others[torch.arange(len(reads), device=reads.device)[:, None], reads] = False
    return states.masked_fill(others.reshape(*others.shape, *[1] * (states.dim() - 2)), torch.nan)


def _at(output: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Return the states of tokens that are read; what a head gives of rows as it is."""
    if output.dim() == 2:
        return output
    return output[torch.arange(len(reads), device=reads.device)[:, None], reads]


def _is_right(loaded: Loaded, found: LastLayer, batch: Batch, layer: Run, whole: Run) -> bool:
    """Check that the layer gives of one token of each row, and of two, what it gives of all, and
    that what is read of the network is the same."""
    two = torch.cat([layer.reads, batch.lengths[:, None] // 2], dim=1)
    with found.on(loaded.model) as selection:

        def same(run: Run, reads: torch.Tensor) -> bool:
            again = selection.of(lambda _: run.again())(replace(batch, reads=reads))
            return gives_the_same(_at(run.own, reads), _at(again, reads))

        return all(same(layer, reads) for reads in (layer.reads, two)) and same(whole, whole.reads)


def _is_in(name: str, found: Sequence[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in found)
