"""Conversations as a request holds them: messages, a text, token ids, or a pair of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.models.conversation_tokens import ConversationTokens, Part
from rmplug.models.text_generator import Message

Written: TypeAlias = Literal["messages", "text", "tokens", "pair"]


@dataclass(frozen=True)
class Conversation:
    """A conversation as it is sent: a list of messages, a text, a list of token ids, or the texts
    of prompt and response. ``opened`` asks the server's template for the opening of a response."""

    id: str
    written: Written
    value: Any
    prompt: str = ""
    """The text of its prompt, of a conversation that is sent as text."""
    opened: bool = False

    @cached_property
    def key(self) -> str:
        """What is the same for conversations that are the same to a server."""
        return json.dumps([self.value, self.opened], ensure_ascii=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """What no message shows."""
        if self.written == "messages":
            return tuple(str(message["content"]) for message in self.value)
        if self.written == "tokens":
            return (", ".join(map(str, self.value)), ",".join(map(str, self.value)))
        return (self.value,) if self.written == "text" else tuple(self.value)


@dataclass(frozen=True)
class ConversationWriter:
    """A writer of rows of ``Responses``: as token ids where it has ``tokens``, else as text where
    it has a template, else as messages; as ``pairs`` of texts whatever it has."""

    tokens: ConversationTokens | None = None
    template: str | None = None
    pairs: bool = False

    def write(self, responses: pa.RecordBatch, part: Part = "both") -> list[Conversation]:
        """Write each row, or its prompt alone."""
        ids = responses.column("id").to_pylist()
        if self.tokens is not None:
            tokens = self.tokens.token_ids(responses, part)
            return [Conversation(i, "tokens", row) for i, row in zip(ids, tokens, strict=True)]
        prompts = _messages(responses, "prompt")
        answers = _messages(responses, "response") if part == "both" else [[] for _ in ids]
        rows = zip(ids, prompts, answers, strict=True)
        return [self._written(*row, part) for row in rows]

    def _written(
        self, id: str, prompt: list[Message], answer: list[Message], part: Part
    ) -> Conversation:
        asked = _joined(prompt)
        if self.pairs:
            return Conversation(id, "pair", (asked, _joined(answer)))
        if self.template is None:
            return Conversation(id, "messages", [*prompt, *answer], opened=part == "prompt")
        before, after = (_filled(text, asked) for text in self.template.split("{response}"))
        whole = before + _joined(answer) + after if part == "both" else before
        return Conversation(id, "text", whole, before)


def tokens_of(model: RewardModel | None) -> ConversationTokens | None:
    """Return the model as a writer of token ids, if there is one; refuse any other model."""
    opened = None if model is None else model.open()
    if opened is None or isinstance(opened, ConversationTokens):
        return opened
    raise DataError(
        f"{opened.name or type(opened).__name__} gives no token ids of conversations; the input "
        "tokens is a step of the kind tokenizer"
    )


def _messages(responses: pa.RecordBatch, name: str) -> list[list[Message]]:
    rows: list[list[Message]] = [turns or [] for turns in responses.column(name).to_pylist()]
    ids = responses.column("id").to_pylist()
    for id, turns in zip(ids, rows, strict=True):
        if any(turn["content"] is None for turn in turns):
            raise DataError(
                f"{name} of {id} has a message without content; write its text or drop the row"
            )
    return rows


def _joined(messages: Sequence[Mapping[str, str]]) -> str:
    return "\n\n".join(message["content"] for message in messages)


def _filled(text: str, prompt: str) -> str:
    return text.replace("{prompt}", prompt)
