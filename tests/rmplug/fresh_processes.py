"""Processes that know nothing of a test but what they are given, and need not import libraries.

They are forked from a process that has done nothing but import, so that what they hold is what a
new process would hold.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "rmplug_trl.policies._preference",
        "rmplug_trl.policies._reinforcement",
        "rmplug_trl.reward_models._training",
    ]
)


def start_fresh(work: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Start a function of a module in a process of its own, to be killed or waited for."""
    process = _context.Process(target=work, args=arguments)
    process.start()
    return process


def run_fresh(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns in a process of its own."""
    ours, theirs = _context.Pipe()
    process = start_fresh(_answer, theirs, work, arguments)
    theirs.close()
    try:
        return ours.recv()
    except EOFError as error:
        process.join()
        raise AssertionError(f"a process ended with {process.exitcode}") from error
    finally:
        process.join()


def _answer(to: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    to.send(work(*arguments))
