"""Messages and exit codes of commands that end early."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType

from rmplug.errors import RmplugError, SpecError, places_of, printable

MISTAKE, BUG, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 1, 130, 141, 143


def explain(error: BaseException, with_traceback: bool) -> int:
    """Write on standard error why a command ended, and return its exit code."""
    if with_traceback or os.environ.get("RMPLUG_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    print(printable(_message(error)), file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        return TERMINATED if Termination.came else INTERRUPTED
    return MISTAKE if isinstance(error, RmplugError) else BUG


def _message(error: BaseException) -> str:
    if isinstance(error, SpecError):
        count = len(error.problems)
        return f"{error}\n{count} problem{'s' * (count > 1)}"
    if isinstance(error, RmplugError):
        return f"rmplug: {error}"
    if isinstance(error, KeyboardInterrupt):
        return "rmplug: interrupted; run the same command to go on"
    return f"rmplug: {_bug(error)}"


def _bug(error: BaseException) -> str:
    """Describe a mistake of rmplug or of a plugin in one line: where, what, and where to read
    more."""
    lines = str(error).strip().splitlines()
    what = ": ".join([*places_of(error), type(error).__name__, *lines[:1]])
    record = getattr(error, "record_path", None)
    kept = f"the traceback is in {record}, and" if record else "the traceback is what"
    return f"{what}; this is a bug, not a mistake in the spec: {kept} --traceback shows it"


class Termination:
    """A handler that treats SIGTERM like Ctrl-C: workers end, their semaphores are freed and the
    record notes that the run was interrupted. A second SIGTERM ends the process at once."""

    came = False

    @classmethod
    def prepare(cls) -> None:
        """Handle SIGTERM from now on."""
        signal.signal(signal.SIGTERM, cls._interrupt)

    @classmethod
    def _interrupt(cls, number: int, frame: FrameType | None) -> None:
        cls.came = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
            raise KeyboardInterrupt  # a shell that starts a job in the background ignores Ctrl-C
        signal.raise_signal(signal.SIGINT)  # so that what holds Ctrl-C back holds this back too
