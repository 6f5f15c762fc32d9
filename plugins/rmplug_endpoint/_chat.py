"""A language model behind an OpenAI-compatible address."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field

from rmplug import DataError, RewardModel
from rmplug.models.text_generator import Prompt, as_conversation

from ._asking import Asking
from ._server import Answer, Request

if TYPE_CHECKING:
    from .text import Endpoint


class WrittenMessage(BaseModel):
    """The message that a model wrote."""

    content: str | None


class CompletionChoice(BaseModel):
    """One of the answers to a prompt."""

    message: WrittenMessage


class Completion(BaseModel):
    """The parts of an answer's body that are read."""

    choices: list[CompletionChoice] = Field(min_length=1)


def load_generator(step: Endpoint) -> EndpointModel:
    """Return the model of a step; nothing is asked yet."""
    return EndpointModel(Asking(step, "/chat/completions", "an OpenAI-compatible server"))


class EndpointModel(RewardModel):
    """A model that generates text; each prompt is one request."""

    elsewhere = True

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.name = asking.step.model

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        raise DataError(
            f"the endpoint model {self.name} generates text and scores no responses; ask it with "
            "the query tagger"
        )

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int = 100, temperature: float = 0.0
    ) -> list[str]:
        """Ask about each prompt. The first request that fails for good ends the others."""
        requests = [self._request(prompt, max_new_tokens, temperature) for prompt in prompts]
        return self.asking.ask(requests, self._read)

    def _request(self, prompt: Prompt, max_new_tokens: int, temperature: float) -> Request:
        messages = [dict(message) for message in as_conversation(prompt)]
        body = {
            "model": self.name,
            "messages": messages,
            "max_tokens": max_new_tokens,
            "temperature": temperature,
        }
        texts = tuple(message["content"] for message in messages)
        return Request(json.dumps(body).encode(), texts)

    def _read(self, answer: Answer, request: Request) -> str:
        """Read the text in an answer; empty where the model wrote none."""
        return answer.parsed(Completion, request).choices[0].message.content or ""
