"""The guard in front of the server: who may ask, and how much at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rmplug._addresses import LOOPBACK, is_called, same

from .metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

DRAINED, DRAINING = 1 << 16, 0.5
"""Bytes of a refused request that are read before the answer, and the most seconds for that."""
OPEN = ("/health",)
"""Addresses that answer without the token."""


@dataclass(frozen=True)
class Guard:
    """An ASGI application that hands on the requests that may be answered, each with its whole
    body, and counts all.

    ``hosts`` are the names that the header ``Host`` may have, None for any; ``token`` the secret
    that the header ``Authorization`` has to show, empty for none. A page of a browser is refused
    wherever it comes from: nothing here is meant for one."""

    app: App
    metrics: Metrics
    paths: frozenset[str]
    """The addresses by which requests are counted; any other counts as ``other``."""
    hosts: tuple[str, ...] | None = LOOPBACK
    token: str = ""
    most_bytes: int = 16 << 20
    seconds: float = 30.0
    """Most seconds until the whole body of a request is there."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, counted)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.request_answered(path, status, time.monotonic() - started)

    async def _guarded(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {one.decode("latin-1"): two.decode("latin-1") for one, two in scope["headers"]}
        refusal = self._refusal(scope["path"], headers)
        body = b""
        if refusal is None:
            try:
                async with asyncio.timeout(self.seconds):
                    body = await self._body(receive, self.most_bytes)
            except TimeoutError:
                refusal = 408, f"the request took longer than {self.seconds:g} seconds to arrive"
            except ConnectionError:
                return
            if len(body) > self.most_bytes:
                refusal = 413, f"a request has at most {self.most_bytes} bytes; send several"
        else:
            # a connection that is closed with bytes unread may take the answer with it
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(DRAINING):
                    await self._body(receive, DRAINED)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        await self.app(scope, _replayed(body, receive), send)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal, if there is one."""
        host = headers.get("host", "")
        if not is_called(host, self.hosts):
            return 400, f"this server is not called {host[:80]!r}"
        # a page may call this server by a name that it made to point here: no origin is trusted
        if headers.get("sec-fetch-site", "none") != "none" or "origin" in headers:
            return 403, "refused: the request comes from a page in a browser"
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        if self.token and path not in OPEN and not same(shown, self.token):
            return 401, "this server asks for its token: Authorization: Bearer ..."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most_bytes:
            return 413, f"a request has at most {self.most_bytes} bytes; send several"
        return None

    async def _body(self, receive: Receive, most: int) -> bytes:
        """Read the body, up to the part that exceeds a limit."""
        body = bytearray()
        while len(body) <= most:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a body that was read as if it were still to come."""
    read = False

    async def replay() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of a refusal, in the form of vLLM and OpenAI."""
    return {"error": {"message": message, "type": "invalid_request_error", "code": status}}


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps(error_body(status, message)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
