"""Requests that arrive together: batches, order, a queue with an end, and an orderly shutdown."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from http_client import CLIENT

from rmplug import DataError, RewardModel, text_of
from rmplug.models.scorer import Scorer

pytest.importorskip("starlette", reason="starlette is not installed")
from rmplug._serve.batching import Limits


class Gate(RewardModel):
    """Scores responses by their length, once it may; refuses some; remembers what it was asked."""

    def __init__(self) -> None:
        self.open_for_all = threading.Event()
        self.batches: list[list[str]] = []
        self.asked = threading.Semaphore(0)

    def score(self, responses: Any) -> Any:
        texts = text_of(responses.column("response")).to_pylist()
        self.batches.append(texts)
        self.asked.release()
        assert self.open_for_all.wait(30)
        if any("refuse" in text for text in texts):
            raise DataError(f"{len(texts)} responses cannot be scored")
        if any("break" in text for text in texts):
            raise RuntimeError("a bug")
        return np.array([np.nan if "nothing" in text else float(len(text)) for text in texts])


@pytest.fixture
def gate() -> Gate:
    return Gate()


def rank(address: str, *texts: str) -> httpx.Response:
    return CLIENT.post(f"{address}/rank", json={"prompt": "p", "responses": list(texts)})


def waiting(address: str) -> int:
    found = re.search(r"^rmplug_queue_rows (\d+)$", CLIENT.get(f"{address}/metrics").text, re.M)
    assert found is not None
    return int(found[1])


@contextmanager
def held(serving: Any, gate: Gate, **limits: Any) -> Iterator[tuple[str, ThreadPoolExecutor]]:
    """A server whose model is at work on a first request until the gate opens."""
    with (
        serving(Scorer(gate), limits=Limits(**limits)) as (address, _),
        ThreadPoolExecutor(64) as pool,
    ):
        first = pool.submit(rank, address, "first")
        assert gate.asked.acquire(timeout=30)
        try:
            yield address, pool
        finally:
            gate.open_for_all.set()
        assert first.result().status_code == 200


def queued(address: str, rows: int) -> None:
    while waiting(address) < rows:
        pass


def test_what_waits_is_scored_together_and_every_request_gets_its_own_scores(
    serving: Any, gate: Gate
) -> None:
    texts = [["x" * (3 * number + part) for part in range(3)] for number in range(20)]
    with held(serving, gate, batch_rows=30, wait=0) as (address, pool):
        pending = [pool.submit(rank, address, *each) for each in texts]
        queued(address, 60)
        gate.open_for_all.set()
        for each, answer in zip(texts, pending, strict=True):
            ranking = answer.result().json()["ranking"]
            assert {row["index"]: row["reward"] for row in ranking} == {
                place: float(len(text)) for place, text in enumerate(each)
            }
    assert [len(batch) for batch in gate.batches] == [1, 30, 30]
    assert sorted(text for batch in gate.batches[1:] for text in batch) == sorted(
        text for each in texts for text in each
    )


def test_a_request_is_never_split_and_a_large_one_goes_alone(serving: Any, gate: Gate) -> None:
    with held(serving, gate, batch_rows=4, wait=0) as (address, pool):
        for rows in (3, 9, 2, 2):
            before = waiting(address)
            pool.submit(rank, address, *("y" * (rows + part) for part in range(rows)))
            queued(address, before + rows)
    assert [len(batch) for batch in gate.batches] == [1, 3, 9, 4]


def test_a_queue_that_is_full_refuses_with_the_time_after_which_to_come_back(
    serving: Any, gate: Gate
) -> None:
    with held(serving, gate, batch_rows=4, queue_rows=5, wait=0) as (address, pool):
        kept = pool.submit(rank, address, *"abcd")
        queued(address, 4)
        answer = rank(address, "one", "two")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["error"]["message"] == "too many rows are waiting; try again later"
        assert rank(address, *"abcdef").status_code == 413
        gate.open_for_all.set()
        assert kept.result().status_code == 200
        assert rank(address, "one", "two").status_code == 200


def test_a_request_that_the_model_refuses_harms_no_other(
    serving: Any, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(serving, gate, wait=0) as (address, pool):
        texts = ("good", "refuse this", "fine", "break it", "nothing here")
        pending = [pool.submit(rank, address, text) for text in texts]
        queued(address, 5)
        gate.open_for_all.set()
        answers = [answer.result() for answer in pending]
    assert [answer.status_code for answer in answers] == [200, 400, 200, 500, 200]
    assert answers[1].json()["error"]["message"] == "1 responses cannot be scored"
    assert answers[3].json()["error"]["message"] == "RuntimeError: see the server"
    assert answers[4].json()["ranking"] == [{"index": 0, "reward": None, "rank": None}]
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_a_server_whose_errors_nobody_reads_goes_on(
    serving: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread = io.StringIO()
    unread.close()
    monkeypatch.setattr(sys, "stderr", unread)
    gate.open_for_all.set()
    with serving(Scorer(gate)) as (address, service):
        broken, good = (rank(address, text) for text in ("break it", "good"))
        assert (broken.status_code, good.status_code) == (500, 200)
        assert broken.headers["connection"] == "close"
        assert service.batcher.alive


def test_a_first_request_waits_for_others_to_come(serving: Any, gate: Gate) -> None:
    gate.open_for_all.set()
    limits = Limits(batch_rows=2, wait=30)
    with (
        serving(Scorer(gate), limits=limits) as (address, _),
        ThreadPoolExecutor(2) as pool,
    ):
        both = [pool.submit(rank, address, text) for text in ("a", "bb")]
        assert [answer.result().status_code for answer in both] == [200, 200]
    assert [sorted(batch) for batch in gate.batches] == [["a", "bb"]]


PROCESS = """
from rmplug._cli.failures import Termination
from rmplug._serve.batching import Limits
from rmplug._serve.server import Settings, serve
from rmplug.models.scorer import Scorer
from rmplug.testing import LengthModel

Termination.prepare()
settings = Settings("ending", port=0, limits=Limits(wait=0.5))
serve(Scorer(LengthModel()), settings, lambda address: print(address, flush=True))
"""


def test_a_server_that_is_told_to_end_answers_what_waits_and_then_ends() -> None:
    command = [sys.executable, "-c", PROCESS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(rank, address, "waits", "for half a second")
                queued(address, 2)
                server.send_signal(signal.SIGTERM)
                assert len(answer.result().json()["ranking"]) == 2
            out, err = server.communicate(timeout=30)
        finally:
            server.kill()
    assert (server.returncode, out, err) == (0, "", "")
