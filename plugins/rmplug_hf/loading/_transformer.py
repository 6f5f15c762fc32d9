"""The forward passes of a loaded transformer over rows of ``Responses``, and its hidden states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.artifacts import Formats
from rmplug.models.kept import kept_rows
from rmplug.models.raw_inputs import RawInput
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._batching import run_batches
from rmplug_hf.tokens._conversations import Part
from rmplug_hf.tokens._prompt_states import run_prompts
from rmplug_hf.tokens._reads import Reads, first_token, last_token
from rmplug_hf.tokens._shared_prompts import Sharing
from rmplug_hf.tokens._tokenizing import Tokens

from ._exactness import exact
from ._fused_layers import packed_weights, way
from ._identity import identity_of
from ._last_layer import Selection
from ._loading import Loaded
from ._trials import is_causal, scales_positions

Pooling: TypeAlias = Literal["last", "mean", "cls"]


class Transformer(RewardModel):
    """The common part of this package's models; each defines its own ``score``."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def run(
        self,
        rows: Sequence[Tokens],
        forward: Callable[[Batch], torch.Tensor],
        asked: Mapping[str, Any] | None = None,
        reads: Reads | None = None,
    ) -> Array:
        """Run ``forward`` on every row: results of shape (rows, …) in the order of the rows; of
        rows whose results are kept as what ``asked`` describes, these. ``reads`` tells the tokens
        of a row whose own output ``forward`` reads."""
        return run_rows(self.loaded, rows, forward, asked, reads)

    def exactly(self) -> AbstractContextManager[Formats] | None:
        """Return a context in which each row is run alone, without padding and in float32, where
        memory allows it."""
        return exact(self.loaded)

    def standing(self) -> AbstractContextManager[None]:
        """Return a context in which weights are packed once for all calls (``packed_weights``)."""
        return packed_weights(self.loaded.model)

    @property
    def width(self) -> int:
        """Numbers per state."""
        return int(self.loaded.config.get_text_config().hidden_size)

    @cached_property
    def causal(self) -> bool:
        """True if the state of a token is independent of what follows it, as a trial of the model
        on tokens of its own shows; false where positions are scaled by the length of the row."""
        with self.loaded.lock:
            return is_causal(self.loaded) and not scales_positions(self.loaded)

    def states(
        self,
        responses: pa.RecordBatch,
        layer: int = -1,
        pooling: Pooling = "last",
        part: Part = "both",
    ) -> Array:
        """Return float32 hidden states of shape (rows, width): of the last token, the mean of all,
        or the first. ``layer`` 0 is the embedding, −1 the last; ``part`` is the prompt with the
        response or the prompt alone."""
        if not responses.num_rows:
            return np.zeros((0, self.width), np.float32)
        rows = self.loaded.tokenizing.rows(responses, part)
        return self.run(
            rows,
            lambda batch: pooled(self.hidden(batch, layer), batch, pooling),
            reads=reading(pooling),
        )

    def hidden(self, batch: Batch, layer: int = -1) -> torch.Tensor:
        """Return hidden states of every token, of shape (rows, longest, width)."""
        body = self.loaded.model.base_model
        if layer == -1:
            states: torch.Tensor = body(**batch.arguments())[0]
            return states
        return self.hidden_layers(batch, [layer])[0]

    def hidden_layers(
        self, batch: Batch, layers: Sequence[int] | Literal["all"]
    ) -> list[torch.Tensor]:
        """Return hidden states of every token, each of shape (rows, longest, width), of several
        layers from one forward pass."""
        body = self.loaded.model.base_model
        every = body(**batch.arguments(), output_hidden_states=True).hidden_states
        if layers == "all":
            return list(every)
        for layer in layers:
            if not -len(every) <= layer < len(every):
                raise DataError(
                    f"the model has the layers 0 (embeddings) to {len(every) - 1}; there is no "
                    f"{layer}"
                )
        return [every[layer] for layer in layers]

    @property
    def layer_count(self) -> int:
        """The number of layers with states, the embeddings among them."""
        return int(self.loaded.config.get_text_config().num_hidden_layers) + 1


def raw_tokens(
    loaded: Loaded, inputs: Sequence[RawInput], add_special_tokens: bool
) -> list[Tokens]:
    """Return the tokens of texts or ids as they are; refuse those that the model cannot read."""
    texts = [text for text in inputs if isinstance(text, str)]
    made = iter(
        loaded.tokenizer(texts, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
        if texts
        else ()
    )
    rows = [np.array(next(made) if isinstance(i, str) else i) for i in inputs]
    most = loaded.tokenizing.max_length
    for place, ids in enumerate(rows, 1):
        if not len(ids) or (most is not None and len(ids) > most):
            raise DataError(
                f"input {place} has {len(ids)} tokens; the model reads 1 to {most or 'any number'}"
            )
        if ids.min() < 0 or ids.max() >= loaded.vocabulary:
            raise DataError(
                f"input {place} has the token {ids.max() if ids.min() >= 0 else ids.min()}; the "
                f"model has those from 0 to {loaded.vocabulary - 1}"
            )
    return [Tokens(ids.astype(np.int64), 0, len(ids)) for ids in rows]


def run_rows(
    loaded: Loaded,
    rows: Sequence[Tokens],
    forward: Callable[[Batch], torch.Tensor],
    asked: Mapping[str, Any] | None = None,
    reads: Reads | None = None,
) -> Array:
    """Run ``forward`` on every row, without dropout and with the change of states that belongs to
    the model: results of shape (rows, …) in the order of the rows.

    ``asked`` describes all that determines what ``forward`` gives of a row but the network and the
    row; with it, results of one vector per row are kept in the store that a run uses, and rows that
    are known there do not go through the network.

    Where ``reads`` tells the tokens of a row whose own output ``forward`` reads, what stands before
    the first of them is run once for all rows that begin with it, and the last layer is computed
    for these tokens alone, if the network can do that and it saves enough.
    """
    if asked is None or loaded.budget.is_exact:
        return _run(loaded, rows, forward, reads)
    keys = [row.key for row in rows]
    return kept_rows(
        lambda: identity_of(loaded, asked),
        [repr((len(i), len(s), start, end)).encode() + i + s for i, s, start, end in keys],
        lambda indices: _run(loaded, [rows[index] for index in indices], forward, reads),
    )


def _run(
    loaded: Loaded,
    rows: Sequence[Tokens],
    forward: Callable[[Batch], torch.Tensor],
    reads: Reads | None,
) -> Array:
    changing = nullcontext() if loaded.change is None else loaded.change.on(loaded.model)
    sharing = None
    prompts: Callable[[torch.Tensor], Any] = partial(run_prompts, loaded.model)
    with (
        loaded.lock,
        evaluating(loaded.model),
        changing,
        packed_weights(loaded.model),
        _reading_alone(loaded, reads) as selection,
    ):
        if selection is not None:
            forward, prompts = selection.of(forward), selection.of_prompts(prompts)
        if reads is not None and loaded.change is None:
            sharing = Sharing(prompts, lambda: loaded.shares_prompts, reads)
        return run_batches(
            rows,
            forward,
            budget=loaded.budget,
            pad=loaded.pad,
            vocabulary=loaded.vocabulary,
            device=loaded.device,
            sharing=sharing,
            reads=None if selection is None else reads,
        )


@contextmanager
def _reading_alone(loaded: Loaded, reads: Reads | None) -> Iterator[Selection | None]:
    """Give what selects the tokens that are read; None where the last layer is computed of all:
    where all are read, where the model's states are changed, where hooks see them, and in the exact
    way."""
    possible = reads is not None and loaded.change is None and not way.plain
    last = loaded.last_layer if possible else None
    if last is None or last.is_seen(loaded.model):
        yield None
        return
    with last.on(loaded.model) as selection:
        yield selection


def reading(pooling: str) -> Reads | None:
    """Return what tells the token whose state is pooled; None for all of them."""
    return {"last": last_token, "cls": first_token}.get(pooling)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Turn dropout off within the context, where the model is in training."""
    training = bool(model.training)
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


def prompts_of(batch: Batch) -> Batch:
    """Return the rows cut before their responses."""
    positions = torch.arange(batch.ids.shape[1], device=batch.ids.device)
    return replace(batch, mask=(positions < batch.starts[:, None]).long(), lengths=batch.starts)


def pooled(states: torch.Tensor, batch: Batch, pooling: Pooling) -> torch.Tensor:
    """Pool states to one per row, of shape (rows, width); padding never counts."""
    if pooling == "cls":
        return states[:, 0].float()
    if pooling == "last":
        rows = torch.arange(len(batch.lengths), device=states.device)
        return states[rows, batch.lengths - 1].float()
    weights = batch.mask.unsqueeze(-1).to(torch.float32)
    return (states.float() * weights).sum(1) / batch.lengths.unsqueeze(-1)
