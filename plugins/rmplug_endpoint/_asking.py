"""Requests to a server: several at a time, again where that may help, no faster than allowed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import httpx
from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
)

from rmplug import DataError
from rmplug.errors import some

from ._retries import LONGEST_WAIT, Backoff, Failure
from ._server import Answer, Request, Server

if TYPE_CHECKING:
    from .connection import ServedModel

Read = TypeVar("Read")
SCORES_BYTES = 16 << 20
"""Most bytes of an answer that is text or scores."""


class RefusedError(DataError):
    """A request that the server refused, which another try would not change."""


class Pace:
    """The rate at which requests begin, in all threads together."""

    def __init__(self, per_second: float | None) -> None:
        self.gap = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, ended: Event) -> None:
        """Wait for this request's turn, or until all have ended."""
        if not self.gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self.gap
        ended.wait(turn - now)


class Asking:
    """An address that is asked as a step says."""

    def __init__(
        self, step: ServedModel, path: str, speaks: str, most_bytes: int = SCORES_BYTES
    ) -> None:
        key = read_key(step.key_variable)
        self.server = Server(step.url.rstrip("/"), path, speaks, key, step.timeout, most_bytes)
        self.step, self.pace = step, Pace(step.requests_per_second)

    def ask(
        self, requests: Sequence[Request], read: Callable[[Answer, Request], Read]
    ) -> list[Read]:
        """Send all requests, and return what ``read`` makes of each answer, in their order.

        The first request that fails for good, or whose answer ``read`` refuses, ends the others:
        none is sent or waited for again.
        """
        ended = Event()
        with (
            self.server.open_client(self.step.concurrency) as client,
            ThreadPoolExecutor(self.step.concurrency) as pool,
        ):
            ask = partial(self._ask, client, ended, read)
            pending = [pool.submit(ask, request) for request in requests]
            try:
                for answer in wait(pending, return_when=FIRST_EXCEPTION).done:
                    answer.result()
                return [answer.result() for answer in pending]
            finally:
                ended.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(
        self,
        client: httpx.Client,
        ended: Event,
        read: Callable[[Answer, Request], Read],
        request: Request,
    ) -> Read:
        """Send one request, again while that may help, and read its answer."""
        asking = Retrying(
            sleep=sleep_using_event(ended),
            stop=stop_after_attempt(self.step.retries + 1) | stop_when_event_set(ended),
            wait=Backoff(multiplier=self.step.wait, max=LONGEST_WAIT),
            retry=retry_if_exception(lambda error: isinstance(error, Failure) and error.again),
            reraise=True,
        )
        try:
            return read(asking(self._once, client, ended, request), request)
        except Failure as failure:
            trials = asking.statistics["attempt_number"]
            often = f" after {trials} tries" if trials > 1 else ""
            about = f" about {some(request.ids, 3)}" if request.ids else ""
            # from None: what a server says may hold the key, and only this sentence is cleaned
            raise (DataError if failure.again else RefusedError)(
                f"{self.server.address} gave no answer{about}{often} ({failure}); check url, model "
                "and the key, or raise retries or timeout"
            ) from None

    def _once(self, client: httpx.Client, ended: Event, request: Request) -> Answer:
        self.pace.wait(ended)
        return self.server.send(client, request)


def read_key(variable: str | None) -> str | None:
    """Read the key from the environment variable that is named, if one is."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, is not set; set it to "
            "the endpoint's key"
        )
    # httpx and h11 show a header that they refuse, and with it the key
    if not key.isascii() or not key.isprintable() or " " in key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, holds spaces, line "
            "breaks or letters that no key has; set it to the endpoint's key alone"
        )
    return key
