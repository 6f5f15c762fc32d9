"""A language model behind an address: what is asked, and what is told of servers that misbehave."""

from __future__ import annotations

import pytest
from chat_server import endpoint, said, serving
from pydantic import ValidationError

from rmplug import DataError
from rmplug.testing import check_step
from rmplug_hybrid.features.tags import Endpoint


def test_the_key_comes_from_the_environment_and_goes_into_no_record(monkeypatch):
    with serving(lambda *_: said('{"harm": "safe"}')) as server:
        step = endpoint(server, key_variable="TAGGER_TEST_KEY")
        monkeypatch.delenv("TAGGER_TEST_KEY", raising=False)
        with pytest.raises(
            DataError, match="the environment variable TAGGER_TEST_KEY, which key_v"
        ):
            step.load()
        monkeypatch.setenv("TAGGER_TEST_KEY", "open-sesame")
        assert step.load().generate(["hello"]) == ['{"harm": "safe"}']
    assert server.requests[0][1] == "Bearer open-sesame"
    assert "open-sesame" not in step.model_dump_json()


def test_a_busy_or_broken_server_is_asked_again():
    def answer(body, number):
        return {1: (503, b"busy"), 2: (429, b"slow down")}.get(number) or said("done")

    with serving(answer) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    assert len(server.requests) == 3


def test_a_server_that_stays_broken_ends_the_step_with_its_words():
    with serving(lambda *_: (500, b"out of\n memory")) as server:
        sentence = r"gave no answer after 3 tries \(500 Internal Server Error: out of memory\)"
        with pytest.raises(DataError, match=sentence):
            endpoint(server, retries=2).load().generate(["x"])
    assert len(server.requests) == 3


def test_a_refusal_is_not_asked_again():
    with serving(lambda *_: (401, b'{"error": "bad key"}')) as server:
        sentence = r'gave no answer \(401 Unauthorized: {"error": "bad key"}\); check url, model'
        with pytest.raises(DataError, match=sentence):
            endpoint(server).load().generate(["x"])
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_so_that_the_key_stays_where_it_belongs():
    with (
        serving(lambda *_: (307, b"", {"Location": "/elsewhere"})) as server,
        pytest.raises(DataError, match=r"gave no answer \(307 Temporary Redirect"),
    ):
        endpoint(server).load().generate(["x"])
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"]


def test_an_address_without_a_server_is_told():
    with serving(lambda *_: said('{"harm": "safe"}')) as server:
        nobody = endpoint(server, retries=1)
    with pytest.raises(DataError, match=r"gave no answer after 2 tries \(.*refused"):
        nobody.load().generate(["x"])


def test_another_kind_of_server_is_told_by_what_it_answers():
    with (
        serving(lambda *_: (200, b"<html>hello</html>")) as server,
        pytest.raises(DataError, match="answered otherwise than an OpenAI-compatible server"),
    ):
        endpoint(server).load().generate(["x"])


def test_answers_come_in_the_order_of_the_prompts():
    with serving(lambda body, _: said(body["messages"][0]["content"].upper())) as server:
        model = endpoint(server, concurrency=8).load()
        prompts = [f"prompt {number}" for number in range(30)]
        assert model.generate(prompts) == [prompt.upper() for prompt in prompts]
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
        assert model.generate([talk]) == ["HI"]


def test_an_endpoint_scores_nothing():
    with (
        serving(lambda *_: said('{"harm": "safe"}')) as server,
        pytest.raises(DataError, match="endpoint model m generates text and scores no respon"),
    ):
        endpoint(server).load().score(None)


def test_the_endpoint_keeps_every_promise_of_a_step():
    check_step(Endpoint, {"url": "http://localhost:8000/v1", "model": "m"})
    with pytest.raises(ValidationError, match="should match pattern"):
        Endpoint(url="ftp://x", model="m")
