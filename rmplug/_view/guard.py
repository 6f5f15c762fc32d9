"""The guard in front of the pages: who may ask, how, and what a browser may do with the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from rmplug._addresses import LOOPBACK, is_called, same

from .pages import POLICY

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "rmplug-view"
FILES = "/files/"
"""The addresses of what reports hold."""
HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of every answer that does not set them itself."""


@dataclass(frozen=True)
class Guard:
    """An ASGI application that answers only to reading requests of the viewer's own pages.

    ``hosts`` are the names that the header ``Host`` may have; None allows any, which is for servers
    with a ``token``."""

    app: App
    hosts: tuple[str, ...] | None = LOOPBACK
    token: str = ""
    """A secret that a browser has to show once, as ``?token=``; empty for none."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {one.decode("latin-1"): two.decode("latin-1") for one, two in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _answer(send, *refusal)
        elif self.token and not self._is_known(headers):
            await self._ask_for_token(scope, send)
        else:
            await self.app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Message, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal, if there is one."""
        host = headers.get("host", "")
        if not is_called(host, self.hosts):
            return 400, f"this server is not called {host[:80]!r}"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "this server is read-only: GET and HEAD"
        if not self._is_from_here(scope, headers, host):
            return 403, "refused: the request comes from another site; open the address itself"
        return None

    def _is_from_here(self, scope: Message, headers: Mapping[str, str], host: str) -> bool:
        """Check whether a request was made by one of these pages, or by a person. A report has an
        origin of its own: a link in it leads to its files if a person follows it."""
        followed = (
            scope["path"].startswith(FILES)
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-user") == "?1"
        )
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and not followed:
            return False
        origin = headers.get("origin", f"http://{host}")
        return origin.partition("://")[2] == host or (followed and origin == "null")

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        """Check the cookie, or the header ``Authorization`` of a program."""
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        return same(shown, self.token) or bool(cookie and same(cookie.value, self._proof))

    @property
    def _proof(self) -> str:
        """What the cookie holds: not the token itself."""
        return hashlib.sha256(f"rmplug view {self.token}".encode()).hexdigest()

    async def _ask_for_token(self, scope: Message, send: Send) -> None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not same(given, self.token):
            await _answer(send, 401, "this server asks for its token: open /?token=...")
            return
        cookie = f"{COOKIE}={self._proof}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})


async def _answer(
    send: Send, status: int, text: str, more: Mapping[str, str] | None = None
) -> None:
    headers = {**HEADERS, "content-type": "text/plain; charset=utf-8", **(more or {})}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": text.encode() + b"\n" * bool(text)})


def _with_headers(send: Send) -> Send:
    """Send with the headers that the application has not set."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            more = [pair for pair in _encoded(HEADERS) if pair[0] not in own]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return guarded


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
