"""Who may ask the server of a reward model, and how much at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from http_client import CLIENT

from rmplug._cli.commands import main
from rmplug.models.scorer import Scorer
from rmplug.testing import LengthModel

TOKEN = "a-token-0123456789"
BODY = {"prompt": "p", "responses": ["a"]}


@pytest.fixture(scope="module")
def guarded(serving: Any) -> Iterator[str]:
    """A server with a token and small limits."""
    settings = {"token": TOKEN, "most_bytes": 2000, "most_rows": 3}
    with serving(Scorer(LengthModel()), **settings) as (address, _):
        yield address


def ask(address: str, path: str = "/rank", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CLIENT.post(address + path, json=BODY, headers=named)


def allowed() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def test_only_the_token_opens_the_server_and_health_is_open(guarded: str) -> None:
    assert ask(guarded, **allowed()).status_code == 200
    for shown in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"}):
        answer = ask(guarded, **shown)
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    for path in ("/metrics", "/v1/models"):
        assert CLIENT.get(guarded + path).status_code == 401
        assert CLIENT.get(guarded + path, headers=allowed()).status_code == 200
    assert CLIENT.get(f"{guarded}/health").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_this_machines_is_refused(guarded: str, host: str) -> None:
    answer = ask(guarded, **allowed(), Host=host)
    assert (answer.status_code, "is not called" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-origin"},
    ],
)
def test_a_page_in_a_browser_cannot_ask(guarded: str, headers: dict[str, str]) -> None:
    answer = ask(guarded, **allowed(), **headers)
    assert (answer.status_code, "page in a browser" in answer.text) == (403, True)


def test_a_page_cannot_ask_by_a_name_that_it_made_to_point_here(serving: Any) -> None:
    with serving(Scorer(LengthModel()), address="0.0.0.0") as (address, _):
        named = "evil.example:8000"
        assert ask(address, Host=named).status_code == 200
        assert ask(address, Host=named, Origin=f"http://{named}").status_code == 403


def test_a_body_is_bounded_whatever_it_says_of_its_length(guarded: str) -> None:
    large = b'{"prompt": "' + b"x" * 3000
    stated = CLIENT.post(f"{guarded}/rank", content=large, headers=allowed())
    streamed = CLIENT.post(f"{guarded}/rank", content=iter([large]), headers=allowed())
    assert "transfer-encoding" in streamed.request.headers
    for answer in (stated, streamed):
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == "a request has at most 2000 bytes; send several"
    rows = CLIENT.post(
        f"{guarded}/rank", json={"prompt": "p", "responses": ["a"] * 4}, headers=allowed()
    )
    assert rows.status_code == 413
    assert rows.json()["error"]["message"] == "a request has at most 3 rows; send several"


def test_a_client_that_leaves_while_it_speaks_harms_no_other(guarded: str) -> None:
    place = urlsplit(guarded)
    head = (
        f"POST /rank HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    for _ in range(3):
        with socket.create_connection((place.hostname, place.port)) as line:
            line.sendall(head.encode())
    assert ask(guarded, **allowed()).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_and_addresses_are_refused(guarded: str, method: str) -> None:
    assert CLIENT.request(method, f"{guarded}/rank", headers=allowed()).status_code == 405
    assert CLIENT.request(method, f"{guarded}/secret", headers=allowed()).status_code == 404


@pytest.mark.parametrize("token", ["", "two words", "…"])
def test_a_variable_without_a_token_is_refused_before_the_model_is_loaded(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVE_TEST_TOKEN", token)
    assert main(["serve", "nowhere", "--token-variable", "SERVE_TEST_TOKEN"]) == 2
    said = capsys.readouterr().err
    assert "variable SERVE_TEST_TOKEN, which --token-variable names, holds no token" in said


def test_another_address_without_a_token_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("rmplug._serve.server.serve", lambda *given: asked.append(given[1]))
    monkeypatch.setattr("rmplug.models.scorer.load", lambda *_, **__: Scorer(LengthModel()))
    monkeypatch.setenv("SERVE_TEST_TOKEN", TOKEN)
    assert main(["serve", "some/model", "--host", "0.0.0.0"]) == 0
    assert "lets other machines ask, and no token is needed; name the" in capsys.readouterr().err
    words = ["serve", "some/model", "--host", "0.0.0.0", "--token-variable", "SERVE_TEST_TOKEN"]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert [(one.token, one.name) for one in asked] == [("", "model"), (TOKEN, "model")]


def test_a_port_that_is_taken_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rmplug.models.scorer.load", lambda *_, **__: Scorer(LengthModel()))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "some/model", "--port", str(port)]) == 2
    assert f"port {port} (" in capsys.readouterr().err
