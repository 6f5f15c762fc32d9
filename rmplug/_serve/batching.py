"""Requests that arrive together, scored together: a queue, and the thread that asks the model."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rmplug.errors import RmplugError
from rmplug.models.raw_inputs import RawInput, ScoresRawInputs
from rmplug.models.scorer import Scorer
from rmplug.models.text_generator import Prompt
from rmplug.notices import collect_notices

from .metrics import Metrics

if TYPE_CHECKING:
    import numpy as np


MOST_WAITS = 10
"""How often ``wait`` starts anew for another request."""
PATIENCE = 0.05
"""The part of the time of a batch that ``wait`` is at least after it: the clients of a slow model
need no less time for their next requests, and waiting for them costs little beside it."""
MOST_PATIENCE = 0.1
"""Seconds that it is at most: one large request is no reason to wait long after it."""

TURN = 32
"""Characters that a message counts beside its texts: thousands of empty ones are work, too."""


class QueueFullError(Exception):
    """A queue without room for a request, and the seconds after which to try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many rows are waiting; try again later")
        self.seconds = seconds


class ClosedError(Exception):
    """A server that is ending takes no more requests."""


@dataclass(frozen=True)
class Limits:
    """Most rows that the model gets at once, the seconds without a new request after which those
    that wait are scored (ten times as long at most), and most rows that wait."""

    batch_rows: int = 64
    wait: float = 0.002
    queue_rows: int = 4096


class Asked(Protocol):
    """The rows of a request: what is scored, in one of the ways to read it."""

    def __len__(self) -> int: ...
    @property
    def reading(self) -> object:
        """Requests with the same value can be scored together."""

    def sizes(self) -> Iterable[int]:
        """Count the characters of each row (tokens, where it is given as such)."""


@dataclass(frozen=True)
class Conversations:
    """Responses to prompts, which the model reads in its own format."""

    prompts: Sequence[Prompt]
    responses: Sequence[str]
    reading = "conversations"

    def __len__(self) -> int:
        return len(self.responses)

    def sizes(self) -> Iterable[int]:
        """Count the characters of each row."""
        counted: dict[int, int] = {}  # many responses may have a prompt in common
        for prompt, response in zip(self.prompts, self.responses, strict=True):
            if id(prompt) not in counted:
                counted[id(prompt)] = _size(prompt)
            yield counted[id(prompt)] + len(response)


@dataclass(frozen=True)
class RawInputs:
    """Texts or token ids, which the model reads as they are."""

    inputs: Sequence[RawInput]
    add_special_tokens: bool = True

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def reading(self) -> bool:
        """Texts with special tokens and without go apart."""
        return self.add_special_tokens

    def sizes(self) -> Iterable[int]:
        """Count the characters or tokens of each row."""
        return map(len, self.inputs)


def _size(prompt: Prompt) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    return sum(TURN + len(turn["role"]) + len(turn["content"]) for turn in prompt)


Told: TypeAlias = "dict[str, list[int]]"
"""What is odd about rows of a request, such as that they were cut, by the numbers of the rows."""


@dataclass(frozen=True)
class Scored:
    """Scores of shape (rows, outputs), NaN where there is none, and what is told of the rows."""

    matrix: np.ndarray
    told: Told = field(default_factory=dict)


@dataclass
class _Job:
    asked: Any
    done: asyncio.Future[Scored]
    loop: asyncio.AbstractEventLoop

    def settle(self, answer: Scored | Exception) -> None:
        """Tell the request's coroutine, in its loop, unless nobody waits for it any more."""
        if self.done.done():
            return
        if isinstance(answer, Exception):
            self.done.set_exception(answer)
        else:
            self.done.set_result(answer)


def _settle(jobs: Sequence[_Job], answers: Sequence[Scored | Exception]) -> None:
    """Answer jobs, in their loop."""
    for job, answer in zip(jobs, answers, strict=True):
        job.settle(answer)


class Batcher:
    """A queue of requests in front of a model.

    One thread asks the model: it takes what waits, in order of arrival, up to ``batch_rows`` rows;
    while that is less, it waits as long as answers leave and others come, within the limits: who is
    answered asks again at once, and a few large batches cost less than many small ones. A request
    is never split, one of more rows goes alone, and one that the model refuses harms no other.
    """

    def __init__(self, scorer: Scorer, limits: Limits, metrics: Metrics) -> None:
        self.scorer, self.limits, self.metrics = scorer, limits, metrics
        self._jobs: deque[_Job] = deque()
        self._rows, self._closed = 0, False
        self._latest = 0.0
        """When the last request came, or the last answer left."""
        self._wait = limits.wait
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread that asks the model."""
        self._thread.start()

    def close(self) -> None:
        """Take no more requests, and end when those that wait have been answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """True while requests are answered."""
        return self._thread.is_alive() and not self._closed

    @property
    def rows(self) -> int:
        """The rows that wait."""
        return self._rows

    async def submit(self, asked: Asked) -> Scored:
        """Wait for the scores of a request. Raises ``QueueFullError``, ``ClosedError``, and what
        the model raises of it."""
        loop = asyncio.get_running_loop()
        job = _Job(asked, loop.create_future(), loop)
        with self._changed:
            if self._closed:
                raise ClosedError
            if self._rows + len(asked) > self.limits.queue_rows:
                raise QueueFullError(self.metrics.seconds_for(self._rows))
            is_first = not self._jobs
            self._jobs.append(job)
            self._rows += len(asked)
            self._latest = time.monotonic()
            # those between only put off the end of a wait, which looks at ``_latest`` itself
            if is_first or self._rows >= self.limits.batch_rows:
                self._changed.notify()
        try:
            return await job.done
        finally:
            self._latest = time.monotonic()

    def _work(self) -> None:
        while jobs := self._take():
            self._run([job for job in jobs if not job.done.cancelled()])

    def _take(self) -> list[_Job]:
        """Take the next requests that are scored together; none when all is over."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return []
            # a model at work keeps the threads that read requests waiting: now is their turn
            end = time.monotonic() + MOST_WAITS * self._wait
            while self._rows < self.limits.batch_rows and not self._closed:
                left = min(self._latest + self._wait, end) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._first()

    def _first(self) -> list[_Job]:
        """Take requests from the front of the queue that are read alike and fit into a batch."""
        taken: list[_Job] = []
        rows, later = 0, deque[_Job]()
        while self._jobs:
            job = self._jobs.popleft()
            alike = not taken or job.asked.reading == taken[0].asked.reading
            if alike and (not taken or rows + len(job.asked) <= self.limits.batch_rows):
                taken.append(job)
                rows += len(job.asked)
            else:
                later.append(job)
            if rows >= self.limits.batch_rows:
                break
        self._jobs.extendleft(reversed(later))
        self._rows -= rows
        return taken

    def _run(self, jobs: list[_Job]) -> None:
        """Score requests together; one by one where that fails, so that only the one at fault
        does."""
        if not jobs:
            return
        started = time.monotonic()
        try:
            scored = self._scored([job.asked for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._run([job])
                return
            self._answer(jobs, [error])
            if not isinstance(error, RmplugError):
                with suppress(OSError, ValueError):  # nobody may read what is told any more
                    traceback.print_exc(file=sys.stderr)
            return
        rows = sum(len(job.asked) for job in jobs)
        seconds = time.monotonic() - started
        self.metrics.batch_scored(rows, seconds)
        if self.limits.wait:
            self._wait = max(self.limits.wait, min(PATIENCE * seconds, MOST_PATIENCE))
        self._answer(jobs, scored)

    def _answer(self, jobs: list[_Job], answers: Sequence[Scored | Exception]) -> None:
        """Have the requests' loop tell their answers; it is woken once for all of them."""
        self._latest = time.monotonic()
        jobs[0].loop.call_soon_threadsafe(_settle, jobs, answers)

    def _scored(self, asked: list[Any]) -> list[Scored]:
        ends = [0]
        for one in asked:
            ends.append(ends[-1] + len(one))
        with collect_notices() as notices:
            matrix = self._matrix(asked)
        told: list[Told] = [{} for _ in asked]
        for found in notices.values():
            for row in sorted({int(id) - 1 for id in found.ids if id.isdecimal()}):
                place = next(k for k, end in enumerate(ends[1:]) if row < end)
                told[place].setdefault(found.what, []).append(row - ends[place])
        parts = pairwise(ends)
        return [Scored(matrix[a:b], own) for (a, b), own in zip(parts, told, strict=True)]

    def _matrix(self, asked: list[Any]) -> np.ndarray:
        import numpy as np

        if isinstance(asked[0], Conversations):
            prompts = [prompt for one in asked for prompt in one.prompts]
            responses = [response for one in asked for response in one.responses]
            return self.scorer.matrix(prompts, responses, missing=True)
        model = self.scorer.model
        if not isinstance(model, ScoresRawInputs):
            raise RmplugError(
                f"this model ({type(model).__name__}) reads conversations, not texts or tokens as "
                "they are; send messages, or prompts with responses"
            )
        inputs = [one for each in asked for one in each.inputs]
        scores = model.score_raw(inputs, asked[0].add_special_tokens)
        return np.asarray(scores, dtype=np.float64).reshape(len(inputs), len(model.outputs))
