"""What worker processes do, and the process that forks them where the system lets it."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rmplug.data.pandas_on_demand import keep_pandas_out
from rmplug.packed_work import do_packed

from .own_process import settle_own_process

PATIENCE = 5.0
"""Seconds that a worker has to end before it is killed."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def serve(tasks: Connection, workers: int) -> None:
    """Be one of so many workers in a process of its own: do tasks until no more can come."""
    prepare_process(workers)
    parent = multiprocessing.parent_process()
    _serve(tasks, [] if parent is None else [parent.sentinel])


def prepare_process(workers: int) -> None:
    """Prepare a process for work before libraries are imported, which then read how many threads
    they may have: workers share the cores."""
    settle_own_process()  # first: the names below are then the user's only
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for name in THREADS:
        os.environ.setdefault(name, str(max(1, (cores or 1) // workers)))
    keep_pandas_out()


def _serve(tasks: Connection, ends_with: Sequence[int]) -> None:
    """Do tasks until their sender has closed, or one of the processes of the sentinels has
    ended."""
    if ends_with:
        threading.Thread(target=_end_with, args=(ends_with,), daemon=True).start()
    packed = b""
    with suppress(EOFError, ConnectionError):  # none follows
        while True:
            packed = _do_one(tasks, tasks.recv_bytes(), packed)


def _do_one(tasks: Connection, message: bytes, packed: bytes) -> bytes:
    """Do the task of a message and send back whether it went well, with its result or its error;
    return the work that further tasks are of."""
    try:
        sent, task = pickle.loads(message)
        packed = sent or packed
        answer = pickle.dumps((True, do_packed(packed, task)))
    except BaseException as error:
        answer = pickle.dumps((False, (error, "".join(traceback.format_exception(error)))))
    tasks.send_bytes(answer)
    return packed


def _end_with(sentinels: Sequence[int]) -> None:
    connection.wait(sentinels)
    os._exit(1)


def fork_workers(workers: Sequence[Connection], modules: Sequence[str], tell: Connection) -> None:
    """Import modules once, fork a worker for each connection, and wait until they end or have to;
    tell whether they may be used.

    A fork has the memory of this process, in which no library has computed anything, and of its
    threads only one. So nothing but imports may happen here: an OpenMP region, or a look for CUDA
    devices, would leave what cannot be used in a fork.
    """
    prepare_process(len(workers))
    for name in modules:
        with suppress(Exception):  # made while the other process ran, or for it alone
            importlib.import_module(name)
    gc.freeze()  # or collections in the workers would copy what they share
    parent = multiprocessing.parent_process()
    assert parent is not None
    fork = multiprocessing.get_context("fork")
    mine = (parent.sentinel, tell, *workers)
    forked = [fork.Process(target=_serve_forked, args=(tasks, mine)) for tasks in workers]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for process in forked:
            process.start()
        for tasks in workers:
            tasks.close()
        is_safe = _forks_are_whole()
        tell.send(is_safe)
        if is_safe:
            connection.wait([parent.sentinel, *(process.sentinel for process in forked)])
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_processes(forked)


def _serve_forked(tasks: Connection, inherited: tuple[Any, ...]) -> None:
    """Be a worker that was forked: of what it inherited, it keeps its own connection."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sentinel, *connections = inherited
    for other in connections:
        if other is not tasks:  # or the end of that worker would not be seen
            other.close()
    parent = multiprocessing.parent_process()
    _serve(tasks, [sentinel] if parent is None else [sentinel, parent.sentinel])


FORK_AWARE = "jemalloc_bg_thd"
"""The thread of pyarrow's allocator, which starts another where it is missed."""


def _forks_are_whole() -> bool:
    """Check that forks of this process lack nothing: it has no threads, apart from those whose
    library minds forks (OpenBLAS has ended its own by now), and no device of CUDA open."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    devices = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one by which they are listed
            devices.append(str(entry.readlink()).startswith("/dev/nvidia"))
    return len(names) - names.count(FORK_AWARE) == 1 and not any(devices)


def end_processes(processes: Sequence[BaseProcess], patience: float = PATIENCE) -> None:
    """End processes, whatever they are doing."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(patience)
        process.kill()
        process.join()
