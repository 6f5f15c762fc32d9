"""Worker processes that take tasks and return results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from rmplug.data.pandas_on_demand import keep_pandas_out
from rmplug.errors import WorkerDied
from rmplug.families import Task
from rmplug.packed_work import do_packed

PATIENCE = 5.0
"""Seconds that a worker has to end before it is killed."""


class Workers:
    """Processes that wait for work until they are closed."""

    def __init__(self, count: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ahead = 2 * count
        self._pool = ProcessPoolExecutor(
            count, spawn, initializer=_prepare_worker, initargs=(count,)
        )

    def map(self, packed: bytes, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield each task with the result of packed work as they finish; after an error, close the
        workers."""
        try:
            yield from _drive(self._pool, packed, tasks, self._ahead)
        except BrokenProcessPool as error:
            self.close()
            raise WorkerDied(
                "a worker process died before its work was done (out of memory?); what it had "
                "finished is kept: run again with fewer workers. A script that starts a run needs "
                "if __name__ == '__main__':"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the worker processes, whatever they are doing."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE)
            process.kill()
            process.join()


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _prepare_worker(workers: int) -> None:
    """Prepare a worker: it shares the cores with the others, and ends when the parent has ended."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for name in THREADS:
        os.environ.setdefault(name, str(max(1, (cores or 1) // workers)))
    keep_pandas_out()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _interrupts_kept_off() -> Iterator[None]:
    """Keep Ctrl-C from processes that start here, even before they could ignore it themselves; in
    this process Ctrl-C waits until they have all they need to start."""
    came: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if here else None
    masks = hasattr(signal, "pthread_sigmask")  # Windows has none: there, processes get Ctrl-C
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


def _drive(
    pool: ProcessPoolExecutor, packed: bytes, tasks: Sequence[Task], ahead: int
) -> Iterator[tuple[Task, Any]]:
    """Keep a few tasks waiting, never all of them: results may be large and runs be stopped."""
    waiting = list(reversed(tasks))
    running: dict[Future[Any], Task] = {}
    while waiting or running:
        while waiting and len(running) < ahead:
            task = waiting.pop()
            with _interrupts_kept_off():
                running[pool.submit(do_packed, packed, task)] = task
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()
