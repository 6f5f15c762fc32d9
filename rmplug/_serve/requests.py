"""The bodies of requests, in the forms of vLLM, OpenRLHF and our own, as rows to score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from rmplug.models.text_generator import Prompt

from .batching import Conversations, RawInputs

Body = TypeVar("Body", bound="ModelRequest")
REFUSED = (
    "chat_template", "chat_template_kwargs", "truncate_prompt_tokens", "continue_final_message",
    "add_generation_prompt", "dimensions",
)  # fmt: skip
"""Fields of vLLM's requests that would change a score here if they were not ignored."""


class RequestError(Exception):
    """A request that cannot be answered: the status, and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Item = TypeVar("Item")
Many = Annotated[list[Item], Field(fail_fast=True)]
"""A list that is refused at its first fault: the faults of a million entries take gigabytes."""


class TextPart(BaseModel):
    """A part of a message in OpenAI's form."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(pattern="^text$")
    text: str


class Turn(BaseModel):
    """A message of a conversation."""

    role: str
    content: str | Many[TextPart]

    @property
    def written(self) -> dict[str, str]:
        """The message with its content as one text."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


Text = str | Many[Turn]


class ModelRequest(BaseModel):
    """What every request may have: the model's name."""

    model: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, data: Any) -> Any:
        for name in REFUSED:
            if isinstance(data, dict) and data.get(name) not in (None, False):
                raise ValueError(f"{name} has no say here: the model is read as it was trained")
        return data


class ClassifyRequest(ModelRequest):
    """vLLM's ``/classify``: one conversation, or texts or token ids as they are."""

    messages: Many[Turn] | None = None
    input: str | Many[str] | Many[int] | Many[Many[int]] | None = None
    add_special_tokens: bool = True
    use_activation: bool | None = None
    activation: bool | None = None

    @property
    def activated(self) -> bool:
        """True if scores are wanted after an activation."""
        wanted = self.use_activation if self.use_activation is not None else self.activation
        return bool(wanted)

    def asked(self) -> Conversations | RawInputs:
        """Return the rows."""
        if (self.messages is None) == (self.input is None):
            raise RequestError(400, "give either messages or input")
        if self.messages is not None:
            return _conversation(self.messages)
        given: Any = self.input
        single = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
        return RawInputs([given] if single else given, self.add_special_tokens)


class ScoreRequest(ModelRequest):
    """vLLM's ``/score``: prompts (``text_1``, ``queries``, ``data_1``) and responses (``text_2``,
    ``documents``, ``items``, ``data_2``), one for each or one prompt for all."""

    first: str | Many[str] = Field(validation_alias="text_1")
    second: str | Many[str] = Field(validation_alias="text_2")
    use_activation: bool | None = None
    activation: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {"queries": "text_1", "data_1": "text_1"}
        names |= dict.fromkeys(("documents", "items", "data_2"), "text_2")
        named = {names.get(name, name): value for name, value in data.items()}
        if len(named) < len(data):
            raise ValueError("the same texts are given under two names; give one")
        return named

    @property
    def activated(self) -> bool:
        """True if scores are wanted after an activation."""
        wanted = self.use_activation if self.use_activation is not None else self.activation
        return bool(wanted)

    def asked(self) -> Conversations:
        """Return the rows."""
        first = [self.first] if isinstance(self.first, str) else self.first
        second = [self.second] if isinstance(self.second, str) else self.second
        if len(first) == 1:
            first = first * len(second)
        if len(first) != len(second):
            raise RequestError(
                400, f"text_1 has {len(first)} and text_2 {len(second)}; give one text_1, or pairs"
            )
        return Conversations(first, second)


class RewardRequest(ModelRequest):
    """OpenRLHF's ``/get_reward``: texts of prompt and response, and the prompts in them."""

    query: Many[str]
    prompts: Many[str] | None = None

    def asked(self, raw: bool, endings: Sequence[str]) -> Conversations | RawInputs:
        """Return the rows: what follows each prompt as a response to it; with ``raw``, or without
        prompts, the texts as they are."""
        if raw or self.prompts is None:
            return RawInputs(self.query)
        if len(self.prompts) != len(self.query):
            raise RequestError(
                400, f"there are {len(self.query)} queries and {len(self.prompts)} prompts"
            )
        pairs = list(enumerate(zip(self.query, self.prompts, strict=True)))
        other = [place for place, (query, prompt) in pairs if not query.startswith(prompt)]
        if other:
            raise RequestError(400, f"query {other[0]} does not begin with its prompt")
        texts = [query[len(prompt) :] for _, (query, prompt) in pairs]
        for ending in endings:
            texts = [text.removesuffix(ending) for text in texts]
        return Conversations(self.prompts, texts)


class RankRequest(ModelRequest):
    """Responses to a prompt, to be ranked."""

    prompt: Text
    responses: Many[str]

    def asked(self) -> Conversations:
        """Return the rows."""
        prompt: Prompt = (
            self.prompt if isinstance(self.prompt, str) else [turn.written for turn in self.prompt]
        )
        return Conversations([prompt] * len(self.responses), self.responses)


def _conversation(messages: Sequence[Turn]) -> Conversations:
    if not messages or messages[-1].role != "assistant":
        raise RequestError(400, "the last message is the assistant's: the response that is scored")
    turns = [turn.written for turn in messages]
    return Conversations([turns[:-1]], [turns[-1]["content"]])


def parse(shape: type[Body], body: bytes) -> Body:
    """Read the body of a request; raises RequestError for one of another form."""
    try:
        # unlike json, it takes no half of a surrogate pair, on which tokenizers and answers break
        return shape.model_validate(from_json(body))
    except ValueError as error:
        if not isinstance(error, ValidationError):
            raise RequestError(400, f"the body is no JSON: {error}"[:200]) from error
        first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    raise RequestError(400, f"{where}: {message}" if where else message)
