"""Chat templates, rendered in a separate process of bounded time and memory.

A chat template comes with the model and is a program: the sandbox of Jinja keeps it from files and
modules, but not from endless loops or texts of gigabytes, which no exception ends. The process is a
fork, so that nothing is imported again and templates are rendered by the same library; where the
system has no fork, templates are rendered here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from rmplug.models.text_generator import Message

SECONDS = 20.0
"""Most time for one conversation, which takes a thousandth of a second."""
MEMORY = 256 << 20
"""Most bytes that rendering may need beside what the process has."""
MOST_TEXT = 32_000_000
"""Most bytes of one rendered conversation."""
MOST_FILES = 1 << 20
"""Open files that are looked for at most, where the system sets no limit."""
SIZE = 8


class TemplateRefusal(Exception):
    """The refusal of a template to render a conversation, with its reason."""


class ChatTemplate:
    """The chat template of a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._process: _Process | None = None
        self._lock = Lock()

    def render(self, messages: Sequence[Message], generation: bool) -> str:
        """Render messages as text; with ``generation``, up to the start of a response. Raises
        TemplateRefusal."""
        if not hasattr(os, "fork"):
            return _answer(self.tokenizer, list(messages), generation)
        with self._lock:  # else threads are given each other's texts
            if self._process is None or not self._process.usable:
                self._process = _Process(self.tokenizer)
            return self._process.ask(list(messages), generation)


def _answer(tokenizer: Any, messages: list[Message], generation: bool) -> str:
    try:
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=generation
        )
    except MemoryError as error:
        raise TemplateRefusal(f"it needs more than {MEMORY >> 20} MB of memory") from error
    except RecursionError as error:
        raise TemplateRefusal("it calls itself without end") from error
    except Exception as error:  # whatever a template that is a program makes Jinja raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TemplateRefusal(line) from error
    if len(text) > MOST_TEXT:
        raise TemplateRefusal(f"it writes more than {MOST_TEXT:,} characters")
    return str(text)


class _Process:
    """A fork of this process that renders one conversation at a time."""

    def __init__(self, tokenizer: Any) -> None:
        self.line, other = socket.socketpair()
        self.owner = os.getpid()
        with warnings.catch_warnings():
            # Python warns of forks beside threads: this one runs no code but the template's
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self.line.close()
            _serve(other, tokenizer, self.owner)
        other.close()
        self.alive = True
        self.end = weakref.finalize(self, _end, self.line, self.pid, self.owner)

    @property
    def usable(self) -> bool:
        """True if it runs and belongs to this process: a fork of this process has its own."""
        return self.alive and self.owner == os.getpid()

    def ask(self, messages: list[Message], generation: bool) -> str:
        """Return the process's answer; end a process that does not answer."""
        self.line.settimeout(SECONDS)
        try:
            _send(self.line, [messages, generation])
            text, refusal = _receive(self.line)
        except TimeoutError as error:
            self._give_up()
            raise TemplateRefusal(f"it takes longer than {SECONDS:g} seconds") from error
        except (OSError, ValueError) as error:
            self._give_up()
            raise TemplateRefusal(f"it ended the process that renders it ({error})") from error
        if refusal is not None:
            raise TemplateRefusal(str(refusal))
        return str(text)

    def _give_up(self) -> None:
        self.alive = False
        self.end()


def _end(line: socket.socket, pid: int, owner: int) -> None:
    """End the process; forks of its owner leave it alone."""
    line.close()
    if os.getpid() == owner:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def _serve(line: socket.socket, tokenizer: Any, owner: int) -> NoReturn:
    """Answer until the owner is gone. Leaves without the exits of the process that was forked."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        _close_others(line.fileno())
        _limit_memory()
        line.settimeout(5)
        while True:
            try:
                messages, generation = _receive(line)
            except TimeoutError:
                if os.getppid() != owner:
                    break
                continue
            line.settimeout(None)
            try:
                _send(line, [_answer(tokenizer, messages, generation), None])
            except TemplateRefusal as refusal:
                _send(line, [None, str(refusal)])
            line.settimeout(5)
    finally:
        os._exit(0)


def _close_others(kept: int) -> None:
    """Close the files of the owner but one and the standard ones: a connection that the owner
    closes would stay open here, and its other side wait for the end."""
    os.closerange(3, kept)
    most = os.sysconf("SC_OPEN_MAX")  # -1 or a number beyond all bounds where there is no limit
    os.closerange(kept + 1, most if 0 < most < MOST_FILES else MOST_FILES)


def _limit_memory() -> None:
    """Limit this process to ``MEMORY`` more than it has; only Linux reports how much that is."""
    import gc
    import resource

    gc.freeze()  # what was there belongs to the owner, tensors on devices among it
    statm = Path("/proc/self/statm")
    if statm.is_file():
        most = int(statm.read_text().split()[0]) * resource.getpagesize() + MEMORY
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _send(line: socket.socket, value: Any) -> None:
    body = json.dumps(value).encode()
    line.sendall(len(body).to_bytes(SIZE, "little") + body)


def _receive(line: socket.socket) -> Any:
    size = int.from_bytes(_exactly(line, SIZE), "little")
    if size > 8 * MOST_TEXT:
        raise ValueError("its answer is too long")
    return json.loads(_exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = line.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("no answer")
        parts += part
    return bytes(parts)
