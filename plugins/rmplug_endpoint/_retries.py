"""Retries of requests, and the pauses before them."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import httpx
from tenacity import RetryCallState, wait_exponential

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that another try may change."""
LONGEST_WAIT = 60.0


class Failure(Exception):
    """A failed request: the reason, whether to try again, and the seconds the server asks for."""

    def __init__(self, why: str, again: bool, pause: float | None = None) -> None:
        super().__init__(why)
        self.again = again
        self.pause = pause


class Backoff(wait_exponential):
    """The seconds before the next try: as the server asks, else twice as long each time."""

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(failure, Failure) and failure.pause is not None:
            return min(failure.pause, self.max)
        return super().__call__(retry_state)


def read_pause(response: httpx.Response) -> float | None:
    """Read the seconds that Retry-After asks for, as a number or a date; None for anything else."""
    asked = response.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None
