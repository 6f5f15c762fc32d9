"""The engine that is always available: this machine, in one process or several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr

from rmplug.families import Engine, Result, Task
from rmplug.packed_work import pack

from .meanwhile import Meanwhile

if TYPE_CHECKING:
    from .workers import Workers


class Local(Engine):
    """Run row-wise work and the items of loops on this machine, in one process or several.

    Results are the same bytes for any number of workers.
    """

    kind = "local"
    neutral = frozenset({"workers", "shard_rows", "keep_scores", "least_seconds"})

    workers: int = Field(default=2, ge=1, le=1024)
    """Processes that work at once; each opens the model itself. 1 works in this process."""

    least_seconds: float = Field(default=10.0, ge=0)
    """The seconds that workers must save for them to be started. Row-wise work that is shorter, by
    the time that a few rows take, is done in this process; so are items of a loop until one takes
    longer, or those that are left would. 0 starts them for any work."""

    _workers: Workers | None = PrivateAttr(default=None)

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as they finish; one task, one worker, or short work,
        needs no process. Items of a loop that goes on without those that fail have one even so: an
        item that takes its process down does not take the run down."""
        if self.workers > 1 and getattr(work, "keep_going", False):
            return self._in_processes(pack(work), tasks)
        if self.workers == 1 or len(tasks) < 2 or self._is_short(work, tasks):
            return ((task, work(task)) for task in tasks)
        if self._workers is None and self.least_seconds and not hasattr(work, "expect"):
            return self._from_here(work, tasks)
        return self._in_processes(pack(work), tasks)

    def _from_here(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Do tasks of unknown length here, one after the other, while those that are left are
        short by the last one (the first also imports what the others need); workers do the others
        of one that takes longer, meanwhile."""
        packed, last = pack(work), 0.0
        for place, task in enumerate(tasks):
            left = tasks[place:]
            if place > 1 and last * self._saved(len(left)) >= self.least_seconds:
                yield from self._in_processes(packed, left)
                return
            started = time.monotonic()
            begin = partial(self._in_processes, packed, left[1:])
            with Meanwhile(self.least_seconds, begin if left[1:] else None, self.close) as others:
                result = work(task)
            last = time.monotonic() - started
            if others.began:
                yield from others.results_after((task, result))
                return
            yield task, result

    def _saved(self, tasks: int) -> float:
        """Return how much of a task's time workers save, of so many tasks."""
        return tasks - math.ceil(tasks / min(self.workers, tasks))

    def _is_short(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> bool:
        """Check whether workers would save less than they cost: ``least_seconds``, and to open
        again what is open here then."""
        row_wise: Any = work if hasattr(work, "expect") else None  # as that of GroupWork
        if row_wise is None or not self.least_seconds:
            return False
        opening, seconds = row_wise.expect(tasks)
        parts = min(self.workers, len(tasks))
        if seconds * (1 - 1 / parts) < self.least_seconds + opening:
            return True
        row_wise.release()
        return False

    def _in_processes(self, packed: bytes, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        from .workers import Workers

        if self._workers is None:
            self._workers = Workers(self.workers)
        try:
            yield from self._workers.map(packed, tasks)
        except BaseException:
            self._workers = None
            raise

    def close(self) -> None:
        """End the worker processes, whatever they are doing."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
