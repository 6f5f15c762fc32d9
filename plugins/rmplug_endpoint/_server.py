"""One request to a server with OpenAI's interface, and the parts of its answer that are read."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from functools import cache

import httpx
from pydantic import BaseModel, Field, ValidationError

from rmplug import DataError

from ._retries import AGAIN, Failure, read_pause

MOST_BYTES = 16 << 20
SHOWN = 200
"""Characters of a server's text that a message shows."""


class WrittenMessage(BaseModel):
    """The message that a model wrote."""

    content: str | None


class CompletionChoice(BaseModel):
    """One of the answers to a prompt."""

    message: WrittenMessage


class Completion(BaseModel):
    """The parts of an answer's body that are read."""

    choices: list[CompletionChoice] = Field(min_length=1)


@dataclass(frozen=True)
class Server:
    """An address, the key that belongs to it, and the seconds to wait for a whole answer."""

    address: str
    key: str | None = field(repr=False)
    timeout: float

    def open_client(self, connections: int) -> httpx.Client:
        """Open a client that follows no redirect: the key belongs to this address alone."""
        authorisation = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        try:
            return httpx.Client(
                # identity: a small answer that is compressed can grow beyond any bound
                headers={
                    "Content-Type": "application/json",
                    "Accept-Encoding": "identity",
                    **authorisation,
                },
                timeout=httpx.Timeout(self.timeout, pool=None),
                limits=httpx.Limits(max_keepalive_connections=connections),
                follow_redirects=False,
                verify=_certificates(),
                trust_env=True,  # proxies, as the step's documentation says
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise DataError(
                f"the proxy for {self.address} that the environment names cannot be used "
                f"({self._clean(str(error))}); mend HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name "
                "the host in NO_PROXY"
            ) from None

    def post(self, client: httpx.Client, body: bytes) -> str:
        """Send a request once, and return the text of its answer. Raises Failure where there is
        none, DataError where the address is no language model's."""
        deadline = time.monotonic() + self.timeout
        try:
            with client.stream("POST", self.address, content=body) as response:
                answer = _read_body(response, deadline)
        except httpx.TimeoutException:
            why = f"no whole answer within {self.timeout:g} seconds"
            raise Failure(why, again=True) from None
        except httpx.RequestError as error:
            why = self._clean(str(error)) or type(error).__name__
            raise Failure(why, again=True) from None
        if response.is_success:
            return self._text(response, answer)
        again = response.status_code in AGAIN
        raise Failure(self._status(response, answer), again, read_pause(response))

    def _status(self, response: httpx.Response, body: bytes) -> str:
        """Write the status of an answer, with the server's text."""
        text = body.decode("utf-8", "replace")
        if response.has_redirect_location:
            location = response.headers["Location"]
            text = f"redirects are not followed, and this one leads to {location}"
        return self._clean(f"{response.status_code} {response.reason_phrase}: {text}").rstrip(": ")

    def _text(self, response: httpx.Response, body: bytes) -> str:
        """Read the text in the body of an answer; empty where the model wrote none."""
        if len(body) > MOST_BYTES:
            raise DataError(
                f"{self.address} answered with more than {MOST_BYTES >> 20} MiB; check that url is "
                "the address of a language model, up to /chat/completions"
            )
        try:
            return Completion.model_validate_json(body).choices[0].message.content or ""
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        form = response.headers.get("Content-Type", "no content type")
        raise DataError(
            f"{self.address} answered otherwise than an OpenAI-compatible server does "
            f"({self._clean(f'{form}; {problem}')}): {self._clean(body.decode('utf-8', 'replace'))}"
            "; check that url is the address up to /chat/completions"
        )

    def _clean(self, text: str) -> str:
        """Return the start of a server's text, in one line and without the key."""
        if self.key is not None:
            text = text.replace(self.key, "[key]")
        shown = "".join(char if char.isprintable() else " " for char in text[: 10 * SHOWN])
        return " ".join(shown.split())[:SHOWN]


@cache
def _certificates() -> ssl.SSLContext:
    """Load the system's certificates, not certifi's: they include a company's own authority.

    Read once per process, which takes longer than all else that a client is made of.
    """
    return ssl.create_default_context()


def _read_body(response: httpx.Response, deadline: float) -> bytes:
    """Read the body up to the chunk that exceeds the limit; a slow one ends at the deadline."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            break
        if time.monotonic() > deadline:  # httpx bounds the wait for each chunk, not for all
            raise httpx.ReadTimeout("", request=response.request)
    return bytes(body)
