"""The parameters of every model behind an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from rmplug import ModelLoader


class ServedModel(ModelLoader):
    """The parameters of every model behind an address: where it is, and how it is asked."""

    requires = ("httpcore", "httpx", "tenacity")
    extra = "endpoint"
    neutral = frozenset(
        {"key_variable", "timeout", "retries", "wait", "concurrency", "requests_per_second"}
    )

    url: str = Field(pattern=r"^https?://[^\s?#]+$", examples=["http://localhost:8000/v1"])
    """The address up to `/chat/completions`."""
    model: str = Field(min_length=1, examples=["my-model"])
    """The model's name there."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key; no key is sent unless given."""
    timeout: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds to wait for a whole answer."""
    retries: int = Field(default=4, ge=0)
    """Most times that a request is tried again."""
    wait: float = Field(default=1.0, ge=0)
    """Seconds before the first new try."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Requests at a time."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Most requests that begin in a second, new tries among them, in each worker; no limit unless
    given."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"url is no address: {str(error).lower()}") from error
        if not host:
            raise ValueError("url needs a host, such as http://localhost:8000/v1")
        if "@" in parts.netloc:
            raise ValueError(
                "url holds a user name or a password, which would be recorded; name the "
                "environment variable of the key in key_variable instead"
            )
        return url


TAKEN = (
    *("model", "messages", "input", "text", "input_ids", "text_1", "text_2", "query", "prompts"),
    *("task", "encoding_format"),
)
"""Fields of a request that other parameters write."""


class ServedNumbers(ServedModel):
    """The parameters of every model behind an address that is asked for numbers about
    conversations."""

    neutral = ServedModel.neutral | {"rows_per_request"}

    url: str = Field(pattern=r"^https?://[^\s?#]+$", examples=["http://127.0.0.1:8000"])
    """The address up to what `api` adds to it."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Requests at a time."""
    template: str | None = Field(default=None, examples=["{prompt}\n\n{response}"])
    """A conversation as text, with `{response}` and, usually, `{prompt}` (the contents of its
    messages, a blank line between two); the server's tokenizer turns it into tokens, and adds its
    special ones. By default its messages are sent, and the server applies the model's own chat
    template. With the input `tokens`, token ids are sent instead of either."""
    answers_as: str | None = None
    """The model's name in the answers, where that is another than `model`: an answer in any other
    name is refused."""
    revision: str | None = Field(
        default=None, min_length=1, max_length=200, examples=["2026-11-30"]
    )
    """A word of yours for what the model behind the name is, such as a date or a commit: your
    promise that it gives the same numbers as long as the word stays. With it, numbers are kept in
    the store as they come, though the step may fail, and not asked for again, in this run or in
    later ones; without it, none are kept."""
    rows_per_request: int = Field(default=16, ge=1, le=4096)
    """Most conversations in a request; one that is sent as messages goes alone."""
    body: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Further fields of each request, for what only some servers know: `{truncate_prompt_tokens:
    4096}`. They are recorded: no secrets."""

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str | None) -> str | None:
        if template is not None and template.count("{response}") != 1:
            raise ValueError("template must have {response} once")
        return template

    @field_validator("body")
    @classmethod
    def _check_body(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        taken = [name for name in body if name in TAKEN]
        if taken:
            raise ValueError(f"body cannot have {taken[0]}, which other parameters write")
        return body
