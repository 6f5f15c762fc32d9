"""Servers that misbehave: what is tried again, and what is told."""

from __future__ import annotations

import gzip
import re
import time
import tracemalloc
from email.utils import formatdate
from threading import Event

import pytest
from model_server import endpoint, hang, said, serving
from refusals import refusal, told
from tenacity import RetryCallState, Retrying

from rmplug import DataError
from rmplug_endpoint._retries import AGAIN, LONGEST_WAIT, Backoff, Failure

ADVICE = "; check url, model and the key, or raise retries or timeout"
OTHERWISE = "answered otherwise than an OpenAI-compatible server does "
CHECK_URL = "; check that url is the address up to /chat/completions"


def test_a_busy_or_broken_server_is_asked_again():
    def answer(body, number):
        return {1: (503, b"busy"), 2: (429, b"slow down")}.get(number) or said("done")

    with serving(answer) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", sorted(AGAIN))
def test_each_status_that_may_pass_is_asked_again(status):
    with serving(lambda _, number: (status, b"") if number == 1 else said("done")) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["0", formatdate(0, usegmt=True)])
def test_a_wait_that_the_server_asks_for_takes_the_place_of_ours(status, asked):
    busy = (status, b"slow down", {"Retry-After": asked})
    start = time.monotonic()
    with serving(lambda _, number: busy if number < 3 else said("done")) as server:
        assert endpoint(server, wait=20).load().generate(["x"]) == ["done"]
    assert time.monotonic() - start < 10
    assert len(server.requests) == 3


def pause(failure, attempt, first=1.5):
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    state.set_exception((type(failure), failure, None))
    return Backoff(multiplier=first, max=LONGEST_WAIT)(state)


def test_waits_double_and_none_is_longer_than_a_minute():
    lost = Failure("connection lost", again=True)
    assert [pause(lost, attempt) for attempt in range(1, 8)] == [1.5, 3, 6, 12, 24, 48, 60]
    assert pause(lost, 5, first=0) == 0
    assert pause(Failure("busy", again=True, pause=7), 3) == 7
    assert pause(Failure("busy", again=True, pause=0), 3) == 0
    assert pause(Failure("busy", again=True, pause=3600), 1) == 60


def test_a_retry_after_that_cannot_be_read_leaves_the_doubled_wait():
    odd = ["soon", "-3", "1.5", "", "9" * 400, "Mon, 01 Jan 99999 00:00:00 +99999999999"]

    def answer(_, number):
        return (503, b"", {"Retry-After": odd[number - 1]}) if number <= 4 else said("done")

    with serving(answer) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    for asked in odd[4:]:
        busy = (503, b"", {"Retry-After": asked})
        assert told(lambda *_, busy=busy: busy, retries=0) == (
            f"gave no answer (503 Service Unavailable){ADVICE}"
        )


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


def test_a_request_that_fails_for_good_ends_the_wait_of_the_others():
    waiting = Event()

    def answer(body, _):
        if body["messages"][0]["content"] == "busy":
            waiting.set()
            return 503, b"", {"Retry-After": "60"}
        return (400, b"bad") if waiting.is_set() else (503, b"", {"Retry-After": "0"})

    start = time.monotonic()
    with serving(answer) as server, pytest.raises(DataError, match="400 Bad Request: bad"):
        endpoint(server, retries=10_000).load().generate(["busy", "bad"])
    assert time.monotonic() - start < 30


def drip(handler):
    """Sends a body that never ends, a little at a time."""
    handler.send_response(200)
    handler.end_headers()
    repeat(handler, b" ")


def headers_drip(handler):
    """Sends headers that never end, a line at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    repeat(handler, b"X: y\r\n")


def progress(handler):
    """Is always about to answer."""
    repeat(handler, b"HTTP/1.1 102 Processing\r\n\r\n")


def repeat(handler, piece):
    try:
        while not handler.server.over.wait(0.005):
            handler.wfile.write(piece)
    except OSError:  # the other side has left
        return


@pytest.mark.parametrize("slow", [hang, drip, headers_drip, progress])
def test_a_slow_server_is_told_with_the_seconds_that_were_waited(slow):
    assert told(lambda *_: slow, timeout=0.1, retries=1) == (
        f"gave no answer after 2 tries (no whole answer within 0.1 seconds){ADVICE}"
    )


def cut(handler):
    """Promises more than it sends."""
    handler.send(200, b'{"choices": [', {"Content-Length": "100"})


def leave(handler):
    """Closes the connection without a word."""


def chatter(handler):
    """Speaks no HTTP."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (cut, r"peer closed connection without sending complete message body \(.*\)"),
        (leave, r"Server disconnected without sending a response\."),
        (chatter, r"illegal status line: .*"),
    ],
)
def test_a_connection_that_breaks_is_tried_again_and_then_told(broken, why):
    with serving(lambda _, number: broken if number < 3 else said("done")) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    sentence = rf"gave no answer after 2 tries \({why}\){re.escape(ADVICE)}"
    assert re.fullmatch(sentence, told(lambda *_: broken, retries=1))


def test_an_address_without_a_server_is_told():
    with serving(said) as server:
        nobody = endpoint(server, retries=1)
    with pytest.raises(DataError, match=r"gave no answer after 2 tries \(.*refused"):
        nobody.load().generate(["x"])


def test_a_redirect_is_not_followed_so_that_the_key_stays_where_it_belongs():
    with serving(lambda *_: said("mine now")) as other:
        place = f"http://127.0.0.1:{other.server_port}/v1/chat/completions"
        assert told(lambda *_: (307, b"", {"Location": place})) == (
            "gave no answer (307 Temporary Redirect: redirects are not followed, and this one "
            f"leads to {place}){ADVICE}"
        )
    with serving(lambda *_: (308, b"", {"Location": "/elsewhere"})) as server:
        assert refusal(server).startswith("gave no answer (308 Permanent Redirect: ")
    assert other.requests == []
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"]


HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
STREAM = {"Content-Type": "text/event-stream"}


@pytest.mark.parametrize(
    ("body", "headers", "sentence"),
    [
        (
            b"<html>\nhi\x1b[31m</html>",
            HTML,
            "(text/html; Invalid JSON: expected value at line 1 column 1): <html> hi [31m</html>",
        ),
        (
            b"data: {}\n\n",
            STREAM,
            "(text/event-stream; Invalid JSON: expected value at line 1 column 1): data: {}",
        ),
        (
            b'{"choices": [',
            JSON,
            "(application/json; Invalid JSON: EOF while parsing a list at line 1 column 13): "
            '{"choices": [',
        ),
        (
            b"",
            None,
            "(no content type; Invalid JSON: EOF while parsing a value at line 1 column 0): ",
        ),
        (
            b'{"error": "no credit"}',
            JSON,
            '(application/json; choices: Field required): {"error": "no credit"}',
        ),
        (
            b'{"choices": []}',
            JSON,
            "(application/json; choices: List should have at least 1 item after validation, not "
            '0): {"choices": []}',
        ),
        (
            b'{"choices": [{"message": {"content": NaN}}]}',
            JSON,
            "(application/json; choices.0.message.content: Input should be a valid string): "
            '{"choices": [{"message": {"content": NaN}}]}',
        ),
        (
            b'{"choices": [{"text": "old"}]}',
            JSON,
            '(application/json; choices.0.message: Field required): {"choices": [{"text": "old"}]}',
        ),
    ],
)
def test_an_answer_of_another_shape_is_told_with_what_is_wrong_in_it(body, headers, sentence):
    with serving(lambda *_: (200, body, headers)) as server:
        assert refusal(server) == f"{OTHERWISE}{sentence}{CHECK_URL}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"\xff\xfe", b'{"choices": [{"message": {"content": "\\ud800"}}]}']
)
def test_an_answer_that_breaks_parsers_is_told_in_one_sentence(body):
    sentence = told(lambda *_: (200, body))
    assert sentence.startswith(f"{OTHERWISE}(no content type; Invalid JSON: ")
    assert len(sentence) < 500


def test_a_good_answer_counts_whatever_its_content_type_says():
    with serving(lambda *_: (*said("done"), {"Content-Type": "text/plain"})) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]


def flood(sent):
    """A server that sends for ever, and counts what it could send."""

    def send(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while not handler.server.over.is_set():
                sent.append(handler.wfile.write(b" " * (1 << 20)))
        except OSError:  # the other side has left
            return

    return send


HUGE = "answered with more than 16 MiB; check that url is the address up to /chat/completions"


def test_a_huge_answer_is_not_read_to_its_end():
    sent: list[int] = []
    assert told(lambda *_: flood(sent)) == HUGE
    assert 16 <= len(sent) < 64


def test_a_small_answer_that_grows_when_it_is_unpacked_is_bounded_too():
    bomb = gzip.compress(bytes(24 << 20))
    assert len(bomb) < 1 << 17
    assert told(lambda *_: (200, bomb, {"Content-Encoding": "gzip"})) == HUGE
    assert told(lambda *_: (400, bomb, {"Content-Encoding": "gzip"})) == (
        f"gave no answer (400 Bad Request){ADVICE}"
    )


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,GZIP", "br", "zstd"])
def test_an_answer_that_is_packed_more_than_once_is_not_unpacked(coding):
    bomb = gzip.compress(gzip.compress(bytes(64 << 20), 1))
    with serving(lambda *_: (200, bomb, {"Content-Encoding": coding})) as server:
        model = endpoint(server).load()
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=f"packed as {', *'.join(coding.split(','))}, whi"):
                model.generate(["x"])
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
    assert len(server.requests) == 1


def test_a_redirect_to_what_is_no_address_is_told():
    assert told(lambda *_: (302, b"", {"Location": "javascript:x"})).startswith("gave no answer")
