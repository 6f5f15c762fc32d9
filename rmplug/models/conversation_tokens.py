"""The contract between loaders for what turns conversations into the tokens of a model.

A model that is served elsewhere may read a conversation otherwise than it was trained to: another
chat template, one special token too many. One that is sent as token ids is read as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

Part: TypeAlias = Literal["both", "prompt", "turn"]
"""A prompt with its response; the prompt up to where a response would begin; or the prompt up to
the end of its last turn."""


@runtime_checkable
class ConversationTokens(Protocol):
    """A tokenizer with the format in which a model reads conversations."""

    def token_ids(self, responses: pa.RecordBatch, part: Part = "both") -> list[list[int]]:
        """Return the token ids of each row of ``Responses``, special tokens included, cut as the
        model's parameters say. Raises DataError for a format of two segments, which ids alone do
        not tell apart."""
