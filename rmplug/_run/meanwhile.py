"""Work that begins in the background when other work takes long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any


class Meanwhile:
    """A context for work in this thread; where it takes longer than some seconds, what ``others``
    yields is collected in another thread from then on; None for nothing.

    An error in the context, or where their results are taken, ends them by ``stop``.
    """

    def __init__(
        self,
        seconds: float,
        others: Callable[[], Iterator[Any]] | None,
        stop: Callable[[], None],
    ) -> None:
        self.began = False
        self._others, self._stop = others, stop
        self._lock = threading.Lock()
        self._is_over = False
        self._given: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._timer = threading.Timer(seconds, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> Meanwhile:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._is_over = True
        self._timer.cancel()
        if error is not None and self.began:
            self._end()

    def results_after(self, first: Any) -> Iterator[Any]:
        """Yield this, then what the others yield, in this thread; raise what they raise. They are
        ended where no more is taken."""
        try:
            yield first
            while True:
                goes_on, given = self._given.get()
                if not goes_on and given is not None:
                    raise given
                if not goes_on:
                    return
                yield given
        except BaseException:
            self._end()
            raise

    def _begin(self) -> None:
        with self._lock:
            if self._is_over or self._others is None:
                return
            self.began = True
        try:
            for one in self._others():
                self._given.put((True, one))
        except BaseException as error:
            self._given.put((False, error))
        else:
            self._given.put((False, None))

    def _end(self) -> None:
        """End the others, whether they have begun or are about to."""
        while self._timer.is_alive():
            self._stop()
            self._timer.join(0.1)
