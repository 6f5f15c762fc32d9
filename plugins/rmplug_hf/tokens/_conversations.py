"""Conversations made from rows of ``Responses``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError
from rmplug.models.text_generator import Message

Part: TypeAlias = Literal["both", "prompt", "turn"]
"""A conversation; its prompt up to where a response would begin; or its prompt up to the end of its
last turn, without what the chat template opens a response with."""


class Conversation(NamedTuple):
    """A conversation: the messages before the response, and the response."""

    prompt: Sequence[Message]
    response: Sequence[Message]

    @property
    def messages(self) -> list[Message]:
        """All messages in order."""
        return [*self.prompt, *self.response]


def conversations_of(responses: pa.RecordBatch, part: Part = "both") -> list[Conversation]:
    """Return the conversations of ``Responses`` rows; those of prompts alone need no response."""
    prompts = _messages(responses, "prompt")
    if part != "both":
        return [Conversation(prompt, []) for prompt in prompts]
    answers = _messages(responses, "response")
    return [Conversation(p, r) for p, r in zip(prompts, answers, strict=True)]


def _messages(responses: pa.RecordBatch, name: str) -> list[list[Message]]:
    column = responses.column(name)
    contents = pc.struct_field(column.flatten(), "content")
    rows: list[list[Message]] = [messages or [] for messages in column.to_pylist()]
    if contents.null_count:
        ids = responses.column("id").to_pylist()
        empty = [any(turn["content"] is None for turn in messages) for messages in rows]
        raise DataError(
            f"{name} of {ids[empty.index(True)]} has a message without content; write its text or "
            "drop the row"
        )
    return rows
