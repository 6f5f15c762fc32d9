"""A real S3 server on this machine, and a way to it that can be cut."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from rmplug._store.bucket import Bucket

NEEDED = ("moto", "flask_cors", "s3fs")
MISSING = [name for name in NEEDED if find_spec(name) is None]
WHY_NOT = "a store on S3 is tested with a server: pip install s3fs 'moto[s3]' flask flask-cors"
needs_server = pytest.mark.skipif(bool(MISSING), reason=WHY_NOT)
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@contextmanager
def s3_server() -> Iterator[str]:
    """A server with the bucket ``tested``, at an address that is given; none, and an empty address,
    where it is not installed."""
    if MISSING:
        yield ""
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with socket.create_connection((host, port)) as made:
        made.sendall(b"PUT /tested HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        assert b" 200 " in made.recv(1000)
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def variables(server: str) -> dict[str, str]:
    """Return the variables by which the library of the file system finds a server, and gives up on
    one that does not answer."""
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "tested",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }


def use(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and those that it starts use a server."""
    if not server:
        return
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)


def new_address(server: str, folder: Path) -> str:
    """Return the address of a store that is not there yet: on the server, else in a folder, which
    is reached through the same library."""
    return f"s3://tested/{folder.name}/store" if server else f"file://{folder}/store"


def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on as on another machine: one that has its own mirrors of stores."""
    monkeypatch.setenv("RMPLUG_MIRRORS", str(folder))


def objects(address: str) -> dict[str, bytes]:
    """Every file at an address."""
    bucket = Bucket(address)
    return {name: bucket.read(name) or b"" for name in bucket.files("")}


@contextmanager
def way_to(server: str, judge: Callable[[str], str]) -> Iterator[str]:
    """A proxy that passes each request on, refuses it (``refuse``) or cuts the connection
    (``cut``), as ``judge`` says of its first line."""
    host, port = server.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection((host, int(port))) as there:
            threading.Thread(target=_answers, args=(there, client), daemon=True).start()
            while sent := client.recv(65536):
                line = sent.split(b"\r\n", 1)[0].decode("latin-1")
                asked = line.endswith("HTTP/1.1")
                found = judge(line) if asked else ""
                if found == "refuse":
                    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(DENIED)}\r\n"
                    client.sendall(head.encode() + b"Connection: close\r\n\r\n" + DENIED)
                if found:
                    return
                there.sendall(sent)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _answers(there: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while answered := there.recv(65536):
            client.sendall(answered)
