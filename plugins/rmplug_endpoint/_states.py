"""The states of conversations from a model behind an address."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from rmplug import DataError, Origin, RewardModel, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.conversation_tokens import Part

from ._conversations import Conversation, ConversationWriter, tokens_of
from ._forms import EMBEDDINGS, ENCODE, Form, pooling
from ._numbers import NumberSource

if TYPE_CHECKING:
    from .states import EndpointStates

STATES_BYTES = 256 << 20
"""Most bytes of an answer with states."""
SCALED = "states all of length 1: the server seems to scale them"
NEAR = 1e-3


def load_states(step: EndpointStates, tokens: RewardModel | None) -> StatesModel:
    """Return the encoder of a step; nothing is asked yet."""
    form = _form(step)
    writer = ConversationWriter(tokens_of(tokens), step.template)
    source = NumberSource(step, form, step.normalise, STATES_BYTES)
    return StatesModel(step, source, writer)


def _form(step: EndpointStates) -> Form:
    if step.api == "pooling":
        return pooling("embed" if step.pooling == "server" else "token_embed")
    return EMBEDDINGS if step.api == "embeddings" else ENCODE


class StatesModel(RewardModel):
    """A served encoder (``rmplug.models.state_encoder``); it has no scores."""

    outputs = ()
    elsewhere = True

    def __init__(
        self, step: EndpointStates, source: NumberSource, writer: ConversationWriter
    ) -> None:
        self.step, self.source, self.writer = step, source, writer
        self.name = step.model

    def score(self, responses: pa.RecordBatch) -> Array:
        """Raise an error: an encoder has no scores."""
        raise DataError(
            f"the served encoder {self.name} has no score; ask for its states with hidden-state"
        )

    def origin(self) -> Origin | None:
        """Return the model's name and how it is asked, without the address; None where a tokenizer
        that no record names has a say."""
        if self.writer.tokens is not None:
            return None
        kept = self.step.model_dump(mode="json", include=set(self.step.reopened_with))
        return Origin(self.step.kind, kept)

    def vectors(self, responses: pa.RecordBatch, part: str = "both") -> Array:
        """Return float32 states of shape (rows, width)."""
        return self._states(self.writer.write(responses, cast(Part, part)))

    def vectors_and_prompts(self, responses: pa.RecordBatch, part: str) -> tuple[Array, Array]:
        """Return states of prompts with responses, and of the prompts alone."""
        whole = self.writer.write(responses)
        both = self._states([*whole, *self.writer.write(responses, cast(Part, part))])
        return both[: len(whole)], both[len(whole) :]

    def _states(self, rows: Sequence[Conversation]) -> Array:
        if not rows:
            raise DataError(f"there are no rows to ask {self.name} about")
        read = partial(self._read, {})
        states = self.source.numbers(rows, read, lambda _: True)
        lengths = np.linalg.norm(states, axis=1)
        if not self.step.normalise and len(rows) > 1 and (np.abs(lengths - 1) < NEAR).all():
            notice(SCALED, [row.id for row in rows])
        return states

    def _read(self, widths: dict[str, int], given: Sequence[Any], ids: Sequence[str]) -> Array:
        """Return the states in an answer, which are as wide as those in the first that came."""
        states = [self._pooled(values) for values in given]
        width = widths.setdefault("first", len(states[0]))
        odd = [id for id, row in zip(ids, states, strict=True) if len(row) != width or not width]
        if odd:
            raise DataError(
                f"{self.source.asking.server.address} gave no states, or states of another width "
                f"than {width}, for {len(odd)} rows ({some(odd, 3)})"
            )
        with np.errstate(over="ignore"):  # queries refuse states that are not finite
            return np.array(states, dtype=np.float32)

    def _pooled(self, values: Any) -> Array:
        """Pool what the server gives of a conversation: one vector, or one for each token."""
        if values and isinstance(values[0], list) and len({len(token) for token in values}) > 1:
            return np.zeros(0)
        tokens = np.array(values, dtype=np.float64)
        if tokens.ndim == 1:
            return tokens
        pooled = {"mean": tokens.mean(axis=0), "cls": tokens[0]}
        return np.asarray(pooled.get(self.step.pooling, tokens[-1]))
