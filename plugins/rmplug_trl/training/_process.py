"""The processes of a launcher.

``python -m rmplug_trl.training._process MODULE ARGUMENTS`` runs a launching module and ends with
the process that started it; ``… work FILE`` trains, in each process, what the file describes.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

from rmplug.models.deferred_imports import deferred_imports

UNUSED = ("bitsandbytes", "scipy", "wandb")
"""What peft, transformers and TRL import at the head of their modules, and a training does not use
unless it calls something of it: 3 in 10 of the CPU seconds until a process can train."""


def end_with_parent() -> None:
    """End this process and all that it has started when the one that started it is gone, killed
    even: then its end of the pipe on standard input closes."""

    def wait() -> None:
        # not by sys.stdin, whose lock a thread must not hold when the interpreter ends
        while os.read(0, 1024):
            pass
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)  # Windows has no groups of processes: what this one started may go on

    threading.Thread(target=wait, daemon=True).start()


def main(words: list[str]) -> None:
    """Launch, or work."""
    if words[0] == "work":
        from ._launch import Job

        job = Job.read(Path(words[1]))
        module, _, name = job.run.partition(":")
        with deferred_imports(UNUSED):
            train = getattr(import_module(module), name)
        train(job)
        return
    end_with_parent()
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
