"""Hypotheses about padding: rows beside each other in a batch change each other's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from rmplug.arrays import Array
from rmplug_hf.loading._classifier import Classifier
from rmplug_hf.loading._padding import padding_is
from rmplug_hf.loading._transformer import Transformer, evaluating
from rmplug_hf.loading._value_head import ValueHeadModel
from rmplug_hf.tokens._tokenizing import Tokens

from ._asked import Asked, output_of, reward_of
from ._hypotheses import Hypothesis

BATCHES = (8, 2, 4, 16, 32, 64)
"""Rows of a batch that loops have, the likeliest first."""
NONE = -1
"""An id that no token has: with it as the pad token, a head reads the last place of a batch."""


@dataclass(frozen=True)
class Padding:
    """A way to pad: the side, whether the mask tells of it, and the pad token that the head knows
    (None: the one that pads)."""

    setting: str
    left: bool
    masked: bool = True
    known: int | None = None


WAYS = (
    Padding("padding on the left", left=True),
    Padding("padding on the right that the head reads (pad_token)", left=False, known=NONE),
    Padding("padding on the right that is not masked", left=False, masked=False),
)


def of_pad_tokens(model: Transformer) -> Iterator[Hypothesis]:
    """Yield hypotheses about the pad token that a head knows: it reads the token before the first
    of these at the end, though none was put there to pad."""
    if isinstance(model, Classifier):
        tokenizer = model.loaded.tokenizer
        for token in sorted(_pads(tokenizer) - {model.loaded.pad}):
            name = tokenizer.convert_ids_to_tokens(token)
            yield Hypothesis(f"pad_token: {name}", _with_pad(model, token))


def of_paddings(model: Transformer) -> Iterator[Hypothesis]:
    """Yield hypotheses about padding in batches in the order of the data."""
    if not isinstance(model, Classifier | ValueHeadModel):
        return
    for way in WAYS:
        for batch in BATCHES:
            yield Hypothesis(
                f"{way.setting}, in batches of {batch}", _padded(model, way, batch), max(8, batch)
            )


def _pads(tokenizer: Any) -> set[int]:
    """Return the tokens that models are told to pad with."""
    names = ("pad", "eos", "bos", "unk")
    return {getattr(tokenizer, f"{name}_token_id") for name in names} - {None}


def _with_pad(model: Classifier, token: int) -> Callable[[Asked], Array]:
    """Return the scores of each row alone, by a head that takes a token for padding."""
    changed = copy(model)
    changed.loaded = replace(model.loaded, pad=token)
    return lambda asked: reward_of(changed, asked.responses)


def _padded(model: Transformer, way: Padding, batch: int) -> Callable[[Asked], Array]:
    """Return the scores of batches of so many rows in the order of the data, each side by itself:
    plain calls of the network, as loops have them."""

    def scores(asked: Asked) -> Array:
        rows = model.loaded.tokenizing.rows(asked.responses)
        parts = [
            _outputs(model, rows[start : min(start + batch, end)], way)
            for side in range(asked.sides)
            for end in [(side + 1) * asked.rows]
            for start in range(side * asked.rows, end, batch)
        ]
        return np.concatenate(parts)[:, output_of(model.outputs)]

    return scores


def _outputs(model: Transformer, rows: Sequence[Tokens], way: Padding) -> Array:
    """Return the outputs (rows, outputs) of one padded batch."""
    loaded = model.loaded
    own = loaded.tokenizer.pad_token_id
    pad = loaded.pad if loaded.pad is not None else own if own is not None else 0
    arguments = _arguments(rows, way, pad, loaded.device)
    changing = nullcontext() if loaded.change is None else loaded.change.on(loaded.model)
    with loaded.lock, torch.inference_mode(), evaluating(loaded.model), changing:
        if isinstance(model, Classifier):
            with padding_is(loaded.config, pad if way.known is None else way.known):
                outputs = loaded.model(**arguments).logits[:, model.columns]
        else:
            assert isinstance(model, ValueHeadModel)
            states = loaded.model.base_model(**arguments)[0]
            outputs = model.rewards(states[:, -1].float())[:, model.columns]
    return outputs.double().cpu().numpy() if outputs.device.type == "cpu" else _numbers(outputs)


def _numbers(outputs: torch.Tensor) -> Array:
    return np.asarray(outputs.float().cpu().numpy(), dtype=np.float64)


def _arguments(
    rows: Sequence[Tokens], way: Padding, pad: int, device: torch.device
) -> dict[str, torch.Tensor]:
    longest = max(map(len, rows))
    shape = (len(rows), longest)
    ids, mask, segments = np.full(shape, pad), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, row in enumerate(rows):
        place = slice(longest - len(row), longest) if way.left else slice(0, len(row))
        ids[number, place], mask[number, place] = row.ids, 1
        if row.segments is not None:
            segments[number, place] = row.segments
    named = {"input_ids": ids, "attention_mask": mask if way.masked else np.ones_like(mask)}
    if any(row.segments is not None for row in rows):
        named["token_type_ids"] = segments
    return {name: torch.from_numpy(values).to(device) for name, values in named.items()}
