"""Clients that misbehave: none keeps its connection for long, and others are answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from http_client import CLIENT
from pydantic import ValidationError

from rmplug._cli.commands import main
from rmplug.models.scorer import Scorer
from rmplug.testing import LengthModel

pytest.importorskip("starlette", reason="starlette is not installed")
from rmplug._serve.batching import Limits
from rmplug._serve.connections import Bounds
from rmplug._serve.requests import ClassifyRequest, RankRequest

Line = socket.socket


def connected(address: str, receive_bytes: int | None = None) -> Line:
    place = urlsplit(address)
    line = socket.socket()
    if receive_bytes is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    line.settimeout(30)
    line.connect((place.hostname, place.port))
    return line


def request(address: str, body: dict[str, Any], missing: int = 0, path: str = "/rank") -> bytes:
    """A request, of whose body the last bytes may be missing."""
    written = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n"
    whole = f"{head}Content-Length: {len(written)}\r\n\r\n".encode() + written
    return whole[: len(whole) - missing]


def read(line: Line) -> bytes:
    """All that comes until the server ends the connection."""
    found = b""
    while part := line.recv(1 << 16):
        found += part
    return found


def status(address: str) -> int:
    with connected(address) as line:
        line.sendall(request(address, {"prompt": "p", "responses": ["a"]}))
        return int(line.recv(1 << 16).split()[1])


def says_nothing(address: str, line: Line) -> None:
    pass


def begins(address: str, line: Line) -> None:
    line.sendall(b"POST /rank HTTP/1.1\r\nHo")


def begins_after_an_answer(address: str, line: Line) -> None:
    line.sendall(request(address, {"prompt": "p", "responses": ["a"]}))
    answer = b""
    while not answer.endswith(b"]}"):
        answer += line.recv(1 << 16)
    begins(address, line)


def leaves_out_the_end(address: str, line: Line) -> None:
    line.sendall(request(address, {"prompt": "p", "responses": ["a"]}, missing=2))


@pytest.mark.parametrize(
    "behave", [says_nothing, begins, begins_after_an_answer, leaves_out_the_end]
)
def test_a_request_that_does_not_end_is_ended_and_others_are_answered(
    serving: Any, behave: Callable[[str, Line], None]
) -> None:
    bounds = Bounds(seconds=0.5)
    with (
        serving(Scorer(LengthModel()), bounds=bounds) as (address, _),
        connected(address) as line,
    ):
        behave(address, line)
        assert status(address) == 200
        answer = read(line)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"longer than 0.5 seconds" in answer


def test_a_byte_now_and_then_does_not_make_a_request_last(serving: Any) -> None:
    with (
        serving(Scorer(LengthModel()), bounds=Bounds(seconds=0.5)) as (address, _),
        connected(address) as line,
    ):
        begins(address, line)
        line.settimeout(0.02)
        answer = b""
        while not answer:
            try:
                answer = line.recv(1 << 16)
            except TimeoutError:
                line.sendall(b"x")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_beyond_the_most_connections_is_told_and_those_that_are_there_go_on(
    serving: Any,
) -> None:
    with serving(Scorer(LengthModel()), bounds=Bounds(connections=3)) as (address, service):
        lines = [connected(address) for _ in range(3)]
        try:
            with connected(address) as late:
                answer = read(late)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"the server has 3 connections; try again later" in answer
            lines[0].sendall(request(address, {"prompt": "p", "responses": ["a"]}))
            assert lines[0].recv(1 << 16).startswith(b"HTTP/1.1 200")
            assert 'path="other",status="503"} 1' in service.metrics.text(0)
            lines.pop().close()
            while status(address) == 503:
                pass
        finally:
            for line in lines:
                line.close()


def test_a_client_that_does_not_read_its_answer_loses_its_connection(serving: Any) -> None:
    settings = {"bounds": Bounds(connections=1, idle=1), "most_rows": 200_000}
    limits = Limits(queue_rows=200_000)
    with (
        serving(Scorer(LengthModel()), limits=limits, **settings) as (address, _),
        connected(address, receive_bytes=4096) as line,
    ):
        line.sendall(request(address, {"text_1": "", "text_2": ["a"] * 200_000}, path="/score"))
        assert line.recv(1) == b"H"
        assert status(address) == 503
        while status(address) == 503:
            pass


def test_a_head_without_end_is_refused(serving: Any) -> None:
    with serving(Scorer(LengthModel())) as (address, _), connected(address) as line:
        line.sendall(b"POST /rank HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (1 << 17))
        assert read(line).startswith(b"HTTP/1.1 431 ")
        assert status(address) == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rank", {"prompt": "p" * 60, "responses": ["a", "b" * 50]}),
        ("/score", {"text_1": ["p", "p" * 60], "text_2": ["a", "b" * 50]}),
        ("/classify", {"input": ["a", "b" * 110]}),
        ("/get_reward", {"query": ["a", "p" * 60 + "b" * 50], "prompts": ["", "p" * 60]}),
    ],
)
def test_a_text_that_would_hold_all_others_is_refused(
    serving: Any, path: str, body: dict[str, Any]
) -> None:
    with serving(Scorer(LengthModel()), most_text=100) as (address, _):
        answer = CLIENT.post(address + path, json=body)
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == (
            "row 1 has 110 characters with its prompt, and a row at most 100; shorten it, or raise "
            "--max-text of the server"
        )


def test_many_responses_to_a_long_prompt_are_bounded_together(serving: Any) -> None:
    turns = [{"role": "user", "content": ""}] * 20  # each counts 36 characters
    with serving(Scorer(LengthModel()), most_bytes=5000) as (address, _):
        few, many = (
            CLIENT.post(f"{address}/rank", json={"prompt": turns, "responses": ["a"] * rows})
            for rows in (6, 7)
        )
        assert (few.status_code, many.status_code) == (200, 413)
        assert many.json()["error"]["message"] == (
            "the rows of a request, each with its prompt, have at most 5000 characters; send "
            "several"
        )


def test_of_a_list_with_many_faults_only_the_first_is_looked_at() -> None:
    for shape, body in (
        (ClassifyRequest, {"input": [{}] * 1000}),
        (ClassifyRequest, {"messages": [1] * 1000}),
        (RankRequest, {"prompt": "p", "responses": [1] * 1000}),
    ):
        with pytest.raises(ValidationError) as error:
            shape.model_validate(body)
        assert error.value.error_count() < 10


def test_the_command_sets_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("rmplug._serve.server.serve", lambda *given: asked.append(given[1]))
    monkeypatch.setattr("rmplug.models.scorer.load", lambda *_, **__: Scorer(LengthModel()))
    words = ["--max-text", "7", "--max-connections", "8", "--max-seconds", "9"]
    assert main(["serve", "some/model", *words]) == 0
    assert (asked[0].most_text, asked[0].bounds) == (7, Bounds(8, 9))
