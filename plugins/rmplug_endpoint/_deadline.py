"""A deadline for all that one request reads and writes: httpx bounds the wait for each piece."""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

PIECE = 1 << 16
"""Bytes that are written at once: a server that reads slowly is noticed between two pieces."""


class _Ends(threading.local):
    at = math.inf


_ends = _Ends()
"""When the request of this thread ends: httpcore runs a request in the thread that sends it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """A context in which requests of a bounded client, in this thread, end after some seconds."""
    _ends.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _ends.at = math.inf


def bound(client: httpx.Client) -> None:
    """Let ``deadline`` hold for a client, whatever its proxies."""
    # httpx has no parameter for httpcore's network backend; its own time-outs start anew with each
    # line of the headers, and with each status 1xx
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    left = _ends.at - time.monotonic()
    if left <= 0:
        raise error
    return timeout if left == math.inf else min(left, timeout or left)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), PIECE):
            left = _left(timeout, httpcore.WriteTimeout)
            self.stream.write(buffer[first : first + PIECE], left)

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self.stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)
