"""A language model behind an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache, partial
from threading import Event
from typing import TypeAlias

import httpx
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)

from rmplug import DataError, RewardModel

Message: TypeAlias = Mapping[str, str]
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT = 60.0
MOST_BYTES = 16 << 20
SHOWN = 200


class Written(BaseModel):
    """The message that a model wrote."""

    content: str | None


class Choice(BaseModel):
    """One of the answers to a prompt."""

    message: Written


class Completion(BaseModel):
    """What is read of the body of an answer."""

    choices: list[Choice] = Field(min_length=1)


class Failure(Exception):
    """A request without an answer: why, whether to try again, and seconds the server asks for."""

    def __init__(self, why: str, again: bool, pause: float | None = None) -> None:
        super().__init__(why)
        self.again = again
        self.pause = pause


class Backoff(wait_exponential):
    """Seconds before the next try: as the server asks, else twice as long each time."""

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(failure, Failure) and failure.pause is not None:
            return min(failure.pause, self.max)
        return super().__call__(retry_state)


@dataclass(kw_only=True, eq=False)
class EndpointModel(RewardModel):
    """Generates text; each prompt is one request."""

    address: str
    model: str
    key: str | None = field(repr=False)
    timeout: float
    retries: int
    wait: float
    concurrency: int

    def __post_init__(self) -> None:
        self.name = self.model

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        raise DataError(
            f"the endpoint model {self.name} generates text and scores no responses; ask it with "
            "the query tagger"
        )

    def generate(
        self,
        prompts: Sequence[str | Sequence[Message]],
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> list[str]:
        """The model's answer to each prompt (a message of the user, or a whole conversation).

        The first request that fails for good ends the others: none is sent or waited for again.
        """
        ended = Event()
        with self._client() as client, ThreadPoolExecutor(self.concurrency) as pool:
            ask = partial(self._ask, client, ended)
            bodies = [self._body(prompt, max_new_tokens, temperature) for prompt in prompts]
            pending = [pool.submit(ask, body) for body in bodies]
            try:
                for answer in wait(pending, return_when=FIRST_EXCEPTION).done:
                    answer.result()
                return [answer.result() for answer in pending]
            finally:
                ended.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _client(self) -> httpx.Client:
        """A client that follows no redirect: the key belongs to the address and to no other."""
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
                limits=httpx.Limits(max_keepalive_connections=self.concurrency),
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

    def _body(
        self, prompt: str | Sequence[Message], max_new_tokens: int, temperature: float
    ) -> bytes:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_new_tokens,
            "temperature": temperature,
        }
        return json.dumps(body).encode()

    def _ask(self, client: httpx.Client, ended: Event, body: bytes) -> str:
        """The answer to one request, which is tried again while that may help."""
        asking = Retrying(
            sleep=sleep_using_event(ended),
            stop=stop_after_attempt(self.retries + 1) | stop_when_event_set(ended),
            wait=Backoff(multiplier=self.wait, max=LONGEST_WAIT),
            retry=retry_if_exception(lambda error: isinstance(error, Failure) and error.again),
            reraise=True,
        )
        try:
            return asking(self._post, client, body)
        except Failure as failure:
            trials = asking.statistics["attempt_number"]
            often = f" after {trials} tries" if trials > 1 else ""
            # from None: what a server says may hold the key, and only this sentence is cleaned
            raise DataError(
                f"{self.address} gave no answer{often} ({failure}); check url, model and the key, "
                "or raise retries or timeout"
            ) from None

    def _post(self, client: httpx.Client, body: bytes) -> str:
        """The answer to one try."""
        deadline = time.monotonic() + self.timeout
        try:
            with client.stream("POST", self.address, content=body) as response:
                answer = _read(response, deadline)
        except httpx.TimeoutException:
            why = f"no whole answer within {self.timeout:g} seconds"
            raise Failure(why, again=True) from None
        except httpx.RequestError as error:
            why = self._clean(str(error)) or type(error).__name__
            raise Failure(why, again=True) from None
        if response.is_success:
            return self._text(response, answer)
        again = response.status_code in AGAIN
        raise Failure(self._status(response, answer), again, _pause(response))

    def _status(self, response: httpx.Response, body: bytes) -> str:
        """The status of an answer, with the server's words."""
        said = body.decode("utf-8", "replace")
        if response.has_redirect_location:
            location = response.headers["Location"]
            said = f"redirects are not followed, and this one leads to {location}"
        return self._clean(f"{response.status_code} {response.reason_phrase}: {said}").rstrip(": ")

    def _text(self, response: httpx.Response, body: bytes) -> str:
        """The text in the body of an answer; empty where the model wrote none."""
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
        """The start of what a server said, in one line and without the key."""
        if self.key is not None:
            text = text.replace(self.key, "[key]")
        shown = "".join(char if char.isprintable() else " " for char in text[: 10 * SHOWN])
        return " ".join(shown.split())[:SHOWN]


def read_key(variable: str | None) -> str | None:
    """The key that an environment variable holds, if one is named."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, is not set; set it to "
            "the endpoint's key"
        )
    # httpx and h11 show a header that they refuse, and with it the key
    if not key.isascii() or not key.isprintable() or " " in key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, holds spaces, line "
            "breaks or letters that no key has; set it to the endpoint's key alone"
        )
    return key


@cache
def _certificates() -> ssl.SSLContext:
    """The system's certificates, not certifi's: they know a company's own authority.

    Read once per process, which takes longer than all else that a client is made of.
    """
    return ssl.create_default_context()


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The body, up to the chunk that goes beyond the bound; a slow one ends at the deadline."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            break
        if time.monotonic() > deadline:  # httpx bounds the wait for each chunk, not for all
            raise httpx.ReadTimeout("", request=response.request)
    return bytes(body)


def _pause(response: httpx.Response) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it says neither."""
    asked = response.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None
