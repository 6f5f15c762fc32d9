"""The connections of the server: how many there are, and how long one may take to ask.

``uvicorn`` bounds neither: a client that begins a request and never ends it, or does not read what
it is answered, keeps its connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .guard import DRAINING, error_body

HEAD_BYTES = 1 << 16
"""Most bytes of a request before its body."""
TOLD = 64
"""Connections beyond the bound that are told so; more are cut."""


@dataclass(frozen=True)
class Bounds:
    """Most connections at once, most seconds in which the head of a request arrives, and as many
    for its body, and the seconds for which a connection stays open between two requests."""

    connections: int = 900
    seconds: float = 30.0
    idle: int = 75
    """Longer than clients keep a connection, which would meet its end."""


class Connection(asyncio.Protocol):
    """A connection of a client, in front of uvicorn's protocol (``bounded``)."""

    bounds: Bounds
    refused: Callable[[int], None]
    connections: set[Any]
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    cycle: Any
    """The request that was read last, and its answer."""

    timer: asyncio.TimerHandle | None = None
    head = 0
    is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse a connection beyond the bound."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections + TOLD:
            self.transport.abort()
        elif len(self.connections) > self.bounds.connections:
            most = f"the server has {self.bounds.connections} connections; try again later"
            self.refuse(503, "Service Unavailable", most)
        else:
            self.await_head()

    def data_received(self, data: bytes) -> None:
        """Read on, and bound what stands before a body."""
        if self.is_refused:
            return
        super().data_received(data)
        if self.is_answering():
            self.stop_timer()
            self.head = 0
            return
        self.await_head()
        self.head += len(data)
        if self.head > HEAD_BYTES:
            most = f"a request has at most {HEAD_BYTES} bytes before its body"
            self.refuse(431, "Request Header Fields Too Large", most)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Cut a connection whose last answer is not read in time."""
        super().on_response_complete()  # type: ignore[misc]
        if self.transport.is_closing():
            self.loop.call_later(self.bounds.seconds, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection between two requests."""
        super().timeout_keep_alive_handler()  # type: ignore[misc]
        self.transport.abort()  # else what was not read of an answer keeps it open

    def is_answering(self) -> bool:
        """Check whether the head of a request is there that is not answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def await_head(self) -> None:
        """Refuse the request whose head is not there in time."""
        if self.timer is None and not self.transport.is_closing():
            late = f"the head of the request took longer than {self.bounds.seconds:g} seconds"
            self.timer = self.loop.call_later(
                self.bounds.seconds, self.refuse, 408, "Request Timeout", late
            )

    def stop_timer(self) -> None:
        """Wait for no head."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def refuse(self, status: int, phrase: str, message: str) -> None:
        """Answer what is no request yet, and end the connection."""
        if self.transport.is_closing():
            return
        self.is_refused = True
        self.refused(status)
        body = json.dumps(error_body(status, message)).encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        # closed with bytes unread, it may take the answer with it
        self.loop.call_later(DRAINING, self.transport.close)


def bounded(bounds: Bounds, refused: Callable[[int], None]) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with bounds; ``refused`` is told the status of what is refused
    before it is a request."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    own = {"bounds": bounds, "refused": staticmethod(refused)}
    return type("BoundedConnection", (Connection, AutoHTTPProtocol), own)
