"""A language model behind an address: what it is asked, and what stays secret."""

from __future__ import annotations

import re
import tomllib
import traceback
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from threading import Event

import pytest
from model_server import endpoint, said, serving
from pydantic import ValidationError

from rmplug import DataError
from rmplug._kinds.registry import discover, missing_libraries
from rmplug.testing import check_step
from rmplug_endpoint import Endpoint

ROOT = Path(__file__).resolve().parents[2]
KEY = "open-sesame-0123456789"


def test_the_key_comes_from_the_environment_and_goes_into_no_record(monkeypatch):
    with serving(lambda *_: said("yes")) as server:
        step = endpoint(server, key_variable="TAGGER_TEST_KEY")
        monkeypatch.delenv("TAGGER_TEST_KEY", raising=False)
        with pytest.raises(
            DataError, match="the environment variable TAGGER_TEST_KEY, which key_v"
        ):
            step.load()
        monkeypatch.setenv("TAGGER_TEST_KEY", "open-sesame")
        model = step.load()
        assert model.generate(["hello"]) == ["yes"]
    assert server.requests[0][1] == "Bearer open-sesame"
    assert "open-sesame" not in step.model_dump_json() + repr(model)


@pytest.mark.parametrize("key", [f"{KEY}\nnext", f"{KEY} next", f"{KEY}\x07next", f"{KEY}…"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("TAGGER_TEST_KEY", key)
    with serving(lambda *_: said("yes")) as server, pytest.raises(DataError) as caught:
        endpoint(server, key_variable="TAGGER_TEST_KEY").load().generate(["x"])
    assert str(caught.value) == (
        "the environment variable TAGGER_TEST_KEY, which key_variable names, holds spaces, line "
        "breaks or letters that no key has; set it to the endpoint's key alone"
    )
    assert server.requests == []


def echo(part):
    """A server that repeats the key in a part of its answer."""
    html = {"Content-Type": f"text/html; key={KEY}"}
    return {
        "words": lambda *_: (401, f"no such key: {KEY}".encode()),
        "words at the cut": lambda *_: (401, b"." * 170 + KEY.encode()),
        "reason": lambda *_: lambda handler: handler.send(403, b"", reason=f"not {KEY}"),
        "location": lambda *_: (302, b"", {"Location": f"http://127.0.0.1:1/{KEY}"}),
        "body": lambda *_: said([KEY]),
        "content type": lambda *_: (200, b"<html>", html),
        "status line": lambda *_: lambda handler: handler.wfile.write(f"{KEY}\r\n\r\n".encode()),
    }[part]


@pytest.mark.parametrize(
    "part",
    ["words", "words at the cut", "reason", "location", "body", "content type", "status line"],
)
def test_a_key_that_the_server_repeats_is_in_no_message_and_no_traceback(monkeypatch, part):
    monkeypatch.setenv("TAGGER_TEST_KEY", KEY)
    with serving(echo(part)) as server, pytest.raises(DataError) as caught:
        endpoint(server, key_variable="TAGGER_TEST_KEY", retries=1).load().generate(["x"])
    assert server.requests[0][1] == f"Bearer {KEY}"
    assert "[key]" in str(caught.value)
    assert KEY[:8] not in "".join(traceback.format_exception(caught.value))


def test_answers_come_in_the_order_of_the_prompts():
    with serving(lambda body, _: said(body["messages"][0]["content"].upper())) as server:
        model = endpoint(server, concurrency=8).load()
        prompts = [f"prompt {number}" for number in range(30)]
        assert model.generate(prompts) == [prompt.upper() for prompt in prompts]
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
        assert model.generate([talk]) == ["HI"]
        assert model.generate([]) == []


def test_as_many_requests_as_are_allowed_are_under_way_at_once():
    together, running = Event(), []

    def answer(*_):
        running.append(None)
        if len(running) == 6:
            together.set()
        return lambda handler: handler.send(*said(str(together.wait(10))))

    with serving(answer) as server:
        assert endpoint(server, concurrency=6).load().generate(["x"] * 6) == ["True"] * 6


def test_an_endpoint_scores_nothing():
    with (
        serving(said) as server,
        pytest.raises(DataError, match="endpoint model m generates text and scores no respon"),
    ):
        endpoint(server).load().score(None)


def test_proxies_are_those_of_the_environment(monkeypatch):
    with serving(lambda *_: said("by proxy")) as proxy, serving(lambda *_: said("direct")) as own:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        model = Endpoint(url="http://models.invalid/v1", model="m", retries=0).load()
        assert model.generate(["x"]) == ["by proxy"]
        assert proxy.requests[0][0] == "http://models.invalid/v1/chat/completions"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert endpoint(own).load().generate(["x"]) == ["direct"]
    assert len(proxy.requests) == 1


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://me:hunter2@proxy.invalid:1")
    with pytest.raises(DataError) as caught:
        Endpoint(url="http://models.invalid/v1", model="m").load().generate(["x"])
    assert re.fullmatch(
        r"the proxy for http://models\.invalid/v1/chat/completions that the environment names "
        r"cannot be used \(.*gopher.*\); mend HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the "
        r"host in NO_PROXY",
        str(caught.value),
    )
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:secret@host/v1", "url holds a user name or a password, which would be rec"),
        ("http:///v1", "url needs a host, such as http://localhost:8000/v1"),
        ("http://host:99999/v1", "url is no address: port out of range 0-65535"),
        ("http://[::1/v1", "url is no address: invalid ipv6 url"),
        ("ftp://x", "should match pattern"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_running(url, problem):
    with pytest.raises(ValidationError, match=problem):
        Endpoint(url=url, model="m")


def test_without_its_libraries_the_kind_is_refused_with_the_line_that_installs_them(monkeypatch):
    there = Distribution.from_name

    def from_name(name):
        if name in Endpoint.requires:
            raise PackageNotFoundError(name)
        return there(name)

    provider = discover().find("endpoint")
    assert missing_libraries(provider) == ""
    monkeypatch.setattr(Distribution, "from_name", from_name)
    assert missing_libraries(provider) == (
        "'endpoint' needs httpcore, httpx, tenacity: pip install 'rmplug[endpoint]'"
    )
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = extras["optional-dependencies"]["endpoint"]
    assert [re.split("[<>=]", line)[0] for line in named] == list(Endpoint.requires)


def test_the_endpoint_keeps_every_promise_of_a_step():
    check_step(Endpoint, {"url": "http://localhost:8000/v1", "model": "m"})
