"""The contract between loaders and servers for a model that scores texts as they are.

A client may have written a conversation as text itself, by a template of its own, or as token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

RawInput: TypeAlias = str | Sequence[int]
"""A text, or token ids."""


@runtime_checkable
class ScoresRawInputs(Protocol):
    """A model that scores a text or token ids without a format of its own around them."""

    def score_raw(self, inputs: Sequence[RawInput], add_special_tokens: bool = True) -> np.ndarray:
        """Return float64 scores of shape (inputs, outputs); a text becomes tokens by the model's
        tokenizer, with its special tokens or without. Raises DataError for an input that is empty,
        too long, or has tokens that the model lacks."""
