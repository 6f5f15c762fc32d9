"""The loader of language models behind an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from rmplug import Known, ModelLoader, RewardModel


class Endpoint(ModelLoader):
    """Ask a language model behind an OpenAI-compatible address; it generates text, and scores none.

    Prompts go to `<url>/chat/completions`, several at a time. Too many requests (429), errors of
    the server (5xx), broken connections and answers that take too long are tried again, each time
    after twice the wait, or as long as the server asks for (Retry-After), a minute at most; any
    other refusal ends the step with the server's words. The key is read from an environment
    variable when the model is used: it is in no spec, record, store or message.

    Redirects are not followed. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`,
    `ALL_PROXY`, except for the hosts in `NO_PROXY`): a proxy can read the key and the prompts of
    an `http` address, not those of an `https` one. Certificates are checked against the system's.

    What a service answers can change from day to day: its name stands for whatever it is when the
    step runs.
    """

    kind = "endpoint"
    requires = ("httpx", "tenacity")
    extra = "endpoint"
    neutral = frozenset({"key_variable", "timeout", "retries", "wait", "concurrency"})

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

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def load(self) -> RewardModel:
        from ._chat import EndpointModel, read_key
        from ._server import Server

        address = f"{self.url.rstrip('/')}/chat/completions"
        return EndpointModel(
            server=Server(address, read_key(self.key_variable), self.timeout),
            model=self.model,
            retries=self.retries,
            wait=self.wait,
            concurrency=self.concurrency,
        )
