"""One request to a server, and what is told of its answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar, cast

import httpx
from pydantic import TypeAdapter, ValidationError

from rmplug import DataError

from ._deadline import bound, deadline
from ._retries import AGAIN, Failure, read_pause

SHOWN = 200
"""Characters of a server's text that a message shows."""
BOUNDED = frozenset({"identity", "gzip", "x-gzip", "deflate"})
"""Codings in which a piece of an answer grows a thousandfold at most when it is unpacked."""
ECHO = 16
"""Characters in a row by which a text that was sent is known again in what a server says."""
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Request:
    """A request: its body (none of one that only reads), the texts in it, which no message shows,
    the ids of its rows, and their places among all that are asked about."""

    body: bytes | None
    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Server:
    """An address up to ``path``, what its servers are called, the key that belongs to it, and the
    bounds of a whole answer: seconds, and bytes."""

    url: str
    path: str
    speaks: str
    key: str | None = field(repr=False)
    timeout: float
    most_bytes: int

    @property
    def address(self) -> str:
        """The address of requests."""
        return self.url + self.path

    def open_client(self, connections: int) -> httpx.Client:
        """Open a client that follows no redirect: the key belongs to this address alone."""
        authorisation = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        try:
            client = httpx.Client(
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
                f"({self.clean(str(error))}); mend HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name "
                "the host in NO_PROXY"
            ) from None
        bound(client)
        return client

    def send(self, client: httpx.Client, request: Request) -> Answer:
        """Send a request once, and return its answer. Raises Failure where there is none,
        DataError where it is too long."""
        method = "GET" if request.body is None else "POST"
        try:
            with (
                deadline(self.timeout),
                client.stream(method, self.address, content=request.body) as response,
            ):
                self._check_coding(response)
                body = _read_body(response, self.most_bytes)
        except httpx.TimeoutException:
            why = f"no whole answer within {self.timeout:g} seconds"
            raise Failure(why, again=True) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:  # it reads where redirects lead
            why = self.clean(str(error)) or type(error).__name__
            raise Failure(why, again=True) from None
        if not response.is_success:
            again = response.status_code in AGAIN
            raise Failure(self._status(response, body, request), again, read_pause(response))
        if len(body) > self.most_bytes:
            raise DataError(
                f"{self.address} answered with more than {self.most_bytes >> 20} MiB; {self.advice}"
            )
        return Answer(self, body, response.headers.get("Content-Type", "no content type"))

    def _check_coding(self, response: httpx.Response) -> None:
        """Refuse an answer that is packed in a way, or as often, that its size is not bounded by
        what is read of it."""
        codings = response.headers.get_list("Content-Encoding", split_commas=True)
        if len(codings) > 1 or not BOUNDED.issuperset(one.strip().lower() for one in codings):
            named = self.clean(", ".join(codings))
            raise Failure(f"its answer is packed as {named}, which nobody asked for", again=False)

    @property
    def advice(self) -> str:
        """The check that helps where the answers are not those of such a server."""
        return f"check that url is the address up to {self.path}"

    def _status(self, response: httpx.Response, body: bytes, request: Request) -> str:
        """Write the status of an answer, with the server's text."""
        text = body.decode("utf-8", "replace")
        if response.has_redirect_location:
            location = response.headers["Location"]
            text = f"redirects are not followed, and this one leads to {location}"
        said = f"{response.status_code} {response.reason_phrase}: {text}"
        return self.clean(said, request).rstrip(": ")

    def clean(self, text: str, request: Request | None = None) -> str:
        """Return the start of a server's text, in one line, without the key, and without what it
        repeats of the texts in the request."""
        if self.key is not None:
            text = text.replace(self.key, "[key]")
        shown = "".join(char if char.isprintable() else " " for char in text[: 10 * SHOWN])
        if request is not None:
            shown = _without(shown, request.texts)
        return " ".join(shown.split())[:SHOWN]


@dataclass(frozen=True)
class Answer:
    """The body of an answer, and the form that its server says it has."""

    server: Server
    body: bytes
    form: str

    def parsed(self, shape: type[Parsed], request: Request) -> Parsed:
        """Read the body as JSON of a shape. Raises DataError where it is of another."""
        try:
            parsed: Parsed = _adapter(cast(Hashable, shape)).validate_json(self.body)
            return parsed
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        server = self.server
        raise DataError(
            f"{server.address} answered otherwise than {server.speaks} does "
            f"({server.clean(f'{self.form}; {problem}', request)}): "
            f"{server.clean(self.body.decode('utf-8', 'replace'), request)}; {server.advice}"
        )


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


@cache
def _certificates() -> ssl.SSLContext:
    """Load the system's certificates, not certifi's: they include a company's own authority.

    Read once per process, which takes longer than all else that a client is made of.
    """
    return ssl.create_default_context()


def _read_body(response: httpx.Response, most_bytes: int) -> bytes:
    """Read the body up to the chunk that exceeds the limit."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > most_bytes:
            break
    return bytes(body)


def _without(shown: str, texts: tuple[str, ...]) -> str:
    """Return a server's text with ``[text]`` for each run of it that stands in what was sent, as it
    is or as JSON writes it: an error often repeats its input."""
    forms = [" ".join(form.split()) for text in texts for form in (text, json.dumps(text)[1:-1])]
    shown = " ".join(shown.split())
    for form in forms:
        if ECHO // 2 <= len(form) < ECHO:
            shown = shown.replace(form, "[text]")
    sent, covered = "\0".join(forms), bytearray(len(shown))
    for start in range(len(shown) - ECHO + 1):
        if shown[start : start + ECHO] in sent:
            covered[start : start + ECHO] = b"\1" * ECHO
    runs = groupby(zip(shown, covered, strict=True), key=itemgetter(1))
    return "".join("[text]" if echo else "".join(c for c, _ in run) for echo, run in runs)
