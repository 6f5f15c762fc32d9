"""Addresses at which rmplug serves something: opened, called by name, guarded by a token."""

from __future__ import annotations

import hmac
import socket

from .errors import RmplugError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine in the header ``Host``."""
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine can reach."""
EVERY = ("0.0.0.0", "::")
"""Addresses that stand for all of this machine's."""


def listen(address: str, port: int) -> socket.socket:
    """Open the port; 0 is any that is free. Raises ``RmplugError`` if the address or the port
    cannot be used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(1024)  # who is told the address may connect at once
    except OSError as error:
        opened.close()
        reason = error.strerror or error
        raise RmplugError(
            f"cannot listen at {address}, port {port} ({reason}); name another with --port"
        ) from error
    return opened


def url_of(address: str, opened: socket.socket) -> str:
    """Return the address of an opened port as a browser or a client writes it."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{opened.getsockname()[1]}"


def hosts_of(address: str) -> tuple[str, ...] | None:
    """Return the names by which a server at an address is called; None where that is any."""
    return None if address in EVERY else (address, f"[{address}]", *LOOPBACK)


def is_called(host: str, hosts: tuple[str, ...] | None) -> bool:
    """Check whether the header ``Host`` is one of the names: a page elsewhere whose name is made to
    point to this machine (DNS rebinding) comes with its own."""
    names = {host, host.rpartition(":")[0]}  # without a port, or with one
    return hosts is None or not names.isdisjoint(hosts)


def same(one: str, other: str) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
