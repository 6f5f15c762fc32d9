"""The command ``view``: what it refuses before it serves, the token of a server for others."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from rmplug._addresses import hosts_of
from rmplug._cli.commands import main
from rmplug._store.run_records import new_record, write_record
from rmplug._store.store import Store
from rmplug._view.guard import Guard

TOKEN = "a secret of many characters"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_record(Store(tmp_path / "store"), new_record("some", {"steps": {}}, "", 0))
    return tmp_path / "store"


def test_a_folder_without_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", "--store", str(tmp_path)]) == 2
    assert f"there are no runs in {tmp_path}; name another" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["", "short"])
def test_another_address_needs_a_token(
    store: Path, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RMPLUG_VIEW_TOKEN", token)
    assert main(["view", "--store", str(store), "--host", "0.0.0.0"]) == 2
    assert "set RMPLUG_VIEW_TOKEN to a secret of at least 16" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", "--store", str(store), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port} (" in said and "name another with --port" in said


def test_pages_are_written_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store.parent / "pages"
    assert main(["view", "--store", str(store), "--static", str(folder)]) == 0
    assert "some" in (folder / "index.html").read_text()
    assert len(list(folder.glob("runs/*/index.html"))) == 1
    assert main(["view", "--store", str(store), "--static", str(folder)]) == 2
    assert "is there already; name a new folder with --static" in capsys.readouterr().err


def answer(guard: Guard, path: str = "/", **headers: str) -> tuple[int, dict[str, str]]:
    """What a guard answers to one request; 200 if it lets it pass."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    pairs = [(k.encode(), v.encode()) for k, v in {"host": "box:80", **headers}.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
    asyncio.run(guard({**scope, "headers": pairs}, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found


async def passed(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_server_for_others_answers_who_has_shown_the_token() -> None:
    guard = Guard(passed, hosts_of("0.0.0.0"), TOKEN)
    assert answer(guard)[0] == 401
    assert answer(guard, "/?token=another")[0] == 401
    assert answer(guard, cookie="rmplug-view=another")[0] == 401
    status, headers = answer(guard, f"/?token={TOKEN.replace(' ', '+')}")
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    assert TOKEN not in headers["set-cookie"]
    assert answer(guard, cookie=headers["set-cookie"].partition(";")[0])[0] == 200
    assert answer(guard, authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_server_at_one_address_is_called_by_it() -> None:
    guard = Guard(passed, hosts_of("192.0.2.7"), "")
    assert answer(guard, host="192.0.2.7:80")[0] == 200
    assert answer(guard, host="elsewhere:80")[0] == 400
