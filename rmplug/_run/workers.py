"""Worker processes that take tasks and return results."""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
import pickletools
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from rmplug.errors import WorkerDied
from rmplug.families import Task

from .worker_process import PATIENCE, end_processes, fork_workers, serve

FORKS = sys.platform == "linux"
"""Elsewhere libraries of the system may not be used in forks (macOS), or there are none."""


class Workers:
    """Processes that wait for work until they are closed.

    On Linux they are forks of a process that has imported once what they need: of the packages that
    the first work comes from, the modules that are imported here by then.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: list[BaseProcess] = []
        self._workers: list[Connection] = []

    def map(self, packed: bytes, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield each task with the result of packed work as they finish; after an error, close the
        workers."""
        try:
            if not self._workers:
                self._start(packed)
            yield from _drive(self._workers, packed, tasks)
        except _Died as error:
            self.close()
            raise WorkerDied(
                "a worker process died before its work was done (out of memory?); what it had "
                "finished is kept: run again with fewer workers. A script that starts a run needs "
                "if __name__ == '__main__':"
            ) from error
        except BaseException:
            self.close()
            raise

    def _start(self, packed: bytes) -> None:
        atexit.register(self.close)  # before multiprocessing waits for its processes
        if FORKS:
            here, there = _pairs(self._count)
            asked, tell = multiprocessing.Pipe(duplex=False)
            self._begin(fork_workers, (there, _imported(packed), tell), [*there, tell])
            if _received(asked):
                self._workers = here
                return
            end_processes(self._processes)
        here, there = _pairs(self._count)
        for tasks in there:
            self._begin(serve, (tasks, self._count), [tasks])
        self._workers = here

    def _begin(self, target: Any, given: tuple[Any, ...], ends: Sequence[Connection]) -> None:
        """Start a process, and close the ends of connections that are its own."""
        process = multiprocessing.get_context("spawn").Process(target=target, args=given)
        with _interrupts_kept_off():
            process.start()
        self._processes.append(process)
        for end in ends:
            end.close()

    def close(self) -> None:
        """End the worker processes, whatever they are doing."""
        atexit.unregister(self.close)
        end_processes(self._processes, 2 * PATIENCE)  # one that forks has others to end


def _pairs(count: int) -> tuple[list[Connection], list[Connection]]:
    """Return both ends of so many connections."""
    pairs = [multiprocessing.Pipe() for _ in range(count)]
    return [here for here, _ in pairs], [there for _, there in pairs]


def _imported(packed: bytes) -> list[str]:
    """Return the modules that are imported here, in that order, of the packages that packed work
    names."""
    texts = (text for _, text, _ in pickletools.genops(packed) if isinstance(text, str))
    packages = {text.partition(".")[0] for text in texts if text in sys.modules}
    return [name for name in list(sys.modules) if name.partition(".")[0] in packages]


@contextmanager
def _interrupts_kept_off() -> Iterator[None]:
    """Keep Ctrl-C from processes that start here, even before they could ignore it themselves; in
    this process Ctrl-C waits until they have all they need to start."""
    came: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if here else None
    masks = hasattr(signal, "pthread_sigmask")  # Windows has none: there, processes get Ctrl-C
    if masks:  # multiprocessing starts this with its first process, and lets Ctrl-C in again
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if masks else ()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if here:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
    if came:
        raise KeyboardInterrupt


class _Died(Exception):
    """A process has ended though it was still needed."""


class _WorkerTraceback(Exception):
    """The traceback of an error in a worker, as text: the cause of the error here."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _drive(
    workers: Sequence[Connection], packed: bytes, tasks: Sequence[Task]
) -> Iterator[tuple[Task, Any]]:
    """Give each worker a task whenever it has none, never all of them: results may be large and
    runs be stopped."""
    waiting = list(reversed(tasks))
    running: dict[Any, Task] = {}
    told: set[Any] = set()

    def feed(idle: Sequence[Any]) -> None:
        for worker in idle[: len(waiting)]:
            running[worker] = waiting.pop()
            _send(worker, (None if worker in told else packed, running[worker]))
            told.add(worker)

    feed(workers)
    while running:
        idle = connection.wait(running)
        done = [(running.pop(worker), *_received(worker)) for worker in idle]
        feed(idle)
        for task, went_well, given in done:
            if not went_well:
                error, text = given
                raise error from _WorkerTraceback(text)
            yield task, given


def _send(worker: Any, message: Any) -> None:
    packed = pickle.dumps(message)
    try:
        worker.send_bytes(packed)
    except OSError as error:
        raise _Died from error


def _received(worker: Any) -> Any:
    try:
        message = worker.recv_bytes()
    except (EOFError, OSError) as error:
        raise _Died from error
    return pickle.loads(message)
