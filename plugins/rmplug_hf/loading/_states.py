"""Hidden states of conversations, by layer, token and part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError
from rmplug.arrays import Array
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._conversations import Part
from rmplug_hf.tokens._reads import Reads
from rmplug_hf.tokens._tokenizing import Tokens

from ._transformer import Pooling, Transformer, pooled, prompts_of, reading

Layers: TypeAlias = tuple[int, ...] | Literal["all"]


@dataclass(frozen=True)
class States:
    """The selection of states; fields that are None are left to the model. With ``layers``, states
    have one dimension more, (rows, layers, width), and ``layer`` says nothing."""

    layer: int | None = None
    pooling: str | None = None
    position: int | str | None = None
    layers: Layers | None = None

    def filled(self, layer: int, pooling: str) -> States:
        """Return the selection with defaults in place of None."""
        return replace(
            self,
            layer=layer if self.layer is None else self.layer,
            pooling=self.pooling or pooling,
        )


def states_of(
    model: Transformer, responses: pa.RecordBatch, states: States, part: str = "both"
) -> Array:
    """Return float32 states of shape (rows, width), or (rows, layers, width)."""
    states = states.filled(-1, "last")
    if not responses.num_rows:
        return _none(model, states)
    return _run(model, _rows_of(model, responses, states, part), states)


def _rows_of(
    model: Transformer, responses: pa.RecordBatch, states: States, part: str
) -> list[Tokens]:
    """Return the tokens of rows, each of which has the position that the selection asks for."""
    at_position = states.pooling == "position"
    rows = model.loaded.tokenizing.rows(responses, cast(Part, part), bounds=at_position)
    if not at_position:
        return rows
    for name, row in zip(responses.column("id").to_pylist(), rows, strict=True):
        index = index_of(states.position, row.start, row.end, len(row))
        if not 0 <= index < len(row):
            raise DataError(
                f"{name} has {len(row)} tokens ({row.end - row.start} of the response): it has no "
                f"position {states.position}; use pooling: last"
            )
    return rows


def _run(model: Transformer, rows: Sequence[Tokens], states: States) -> Array:
    """Return the states of rows of tokens."""
    if states.pooling != "position":
        reads = reading(cast(Pooling, states.pooling))
        return model.run(rows, lambda batch: _pooled(model, batch, states), _asked(states), reads)
    return model.run(
        rows,
        lambda batch: _read(model, batch, states, lambda h: _at(h, batch, states.position)),
        _asked(states),
        _position_read(states.position),
    )


def _position_read(position: int | str | None) -> Reads | None:
    """Return what tells the token of a position; None for one that is counted from the first."""
    if isinstance(position, int) and position >= 0:
        return None
    return lambda row: np.array([index_of(position, row.start, row.end, len(row))])


def _asked(states: States, parts: str = "one") -> dict[str, Any] | None:
    """Return what a selection asks for, as the store knows it; None for states of several layers,
    which are not kept: they are large, and seldom asked for again."""
    if states.layers is not None:
        return None
    place = {"pooling": states.pooling, "layer": states.layer, "position": states.position}
    return {"states": parts, **place}


def _none(model: Transformer, states: States) -> Array:
    """Return the states of no rows."""
    if states.layers is None:
        return np.zeros((0, model.width), np.float32)
    count = model.layer_count if states.layers == "all" else len(states.layers)
    return np.zeros((0, count, model.width), np.float32)


def _read(
    model: Transformer,
    batch: Batch,
    states: States,
    read: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Read states of every token, by ``read``, of the layer or of each layer of a selection."""
    if states.layers is None:
        return read(model.hidden(batch, cast(int, states.layer)))
    return torch.stack([read(one) for one in model.hidden_layers(batch, states.layers)], dim=1)


def _pooled(model: Transformer, batch: Batch, states: States) -> torch.Tensor:
    pooling = cast(Pooling, states.pooling)
    return _read(model, batch, states, lambda hidden: pooled(hidden, batch, pooling))


def states_and_prompts(
    model: Transformer,
    responses: pa.RecordBatch,
    prompts: pa.RecordBatch,
    states: States,
    part: str,
) -> tuple[Array, Array]:
    """Return float32 states (rows, width), or (rows, layers, width), of prompts with responses, and
    of the prompts alone. There are as many prompts as responses, or each belongs to several, which
    stand that many rows apart.

    A causal model sees the same prompt whatever follows it: both come from one pass where the
    tokens of a conversation begin with those of its prompt; prompts of other rows (of those that
    were cut) go through it by themselves.
    """
    states = states.filled(-1, "last")
    if not responses.num_rows:
        return _none(model, states), _none(model, states)
    whole = _rows_of(model, responses, states, "both")
    alone = _rows_of(model, prompts, states, part)
    count = len(alone)
    if states.pooling == "position" or not model.causal:
        values = _run(model, [*whole, *alone], states)
        return values[:-count], values[-count:]
    heads = alone * (len(whole) // count)
    led = np.array([row.begins_with(head) for row, head in zip(whole, heads, strict=True)])
    # what is in front of the response of a row is its prompt
    starts = [
        len(head if is_so else row) for row, head, is_so in zip(whole, heads, led, strict=True)
    ]
    rows = [replace(row, start=start) for row, start in zip(whole, starts, strict=True)]
    pooling = cast(Pooling, states.pooling)

    both = model.run(
        rows,
        lambda b: _read(model, b, states, lambda hidden: _both_parts(hidden, b, pooling)),
        _asked(states, "with prompts"),
        (lambda row: np.array([row.start - 1, len(row) - 1])) if pooling == "last" else None,
    )
    if states.layers is not None:
        both = both.swapaxes(1, 2)
    led = led[:count]
    if not led.all():
        odd = [row for row, is_so in zip(alone, led, strict=True) if not is_so]
        both[:count][~led, 1] = _run(model, odd, states)
    return both[:, 0], both[:count, 1]


def _both_parts(hidden: torch.Tensor, batch: Batch, pooling: Pooling) -> torch.Tensor:
    """Pool the states of conversations, and of their prompts alone: (rows, 2, width)."""
    return torch.stack([pooled(hidden, part, pooling) for part in (batch, prompts_of(batch))], 1)


def index_of(position: Any, start: Any, end: Any, length: Any) -> Any:
    """Return the index of a position, for one row or for tensors of rows."""
    named = {"prompt-end": start - 1, "response-start": start, "response-end": end - 1}
    if isinstance(position, str):
        return named[position]
    return position + (length if position < 0 else 0 * length)


def _at(states: torch.Tensor, batch: Batch, position: int | str | None) -> torch.Tensor:
    indices = index_of(position, batch.starts, batch.ends, batch.lengths)
    return states[torch.arange(len(indices), device=states.device), indices].float()
