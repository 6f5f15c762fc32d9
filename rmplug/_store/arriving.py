"""Values on their way into the store: each is there soon after it came, whatever becomes of the
work that asked for it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Lock, Thread

from rmplug.arrays import Array

EVERY = 1.0
"""Seconds that values wait at most before they are written: what is lost when a process is killed,
and as many files are written at most."""


class Arriving:
    """A context in which keys and values are taken as they come, from any thread, and written all
    together every second by a thread of its own, and at the end, also of work that fails."""

    def __init__(self, write: Callable[[Array, Array], None]) -> None:
        self._write = write
        self._waiting: list[tuple[Array, Array]] = []
        self._lock = Lock()
        self._ended = Event()
        self._refused: Exception | None = None
        # in this context: what is noticed while they are written is told of the step
        self._thread = Thread(target=copy_context().run, args=(self._work,), daemon=True)

    def __enter__(self) -> Arriving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._write_waiting()

    def add(self, keys: Array, values: Array) -> None:
        """Take keys (rows, 2) and values (rows, …). Raises what the store has raised of others: so
        that no more is asked for than can be kept."""
        if self._refused is not None:
            raise self._refused
        with self._lock:
            self._waiting.append((keys, values))

    def _work(self) -> None:
        try:
            while not self._ended.wait(EVERY):
                self._write_waiting()
        except Exception as error:  # raised where others are added, and by the last write
            self._refused = error

    def _write_waiting(self) -> None:
        import numpy as np

        with self._lock:
            waiting = list(self._waiting)
        if not waiting:
            return
        keys, values = zip(*waiting, strict=True)
        if len({(each.shape[1:], each.dtype) for each in values}) == 1:  # else one of them is wrong
            self._write(np.concatenate(keys), np.concatenate(values))
        with self._lock:
            del self._waiting[: len(waiting)]
