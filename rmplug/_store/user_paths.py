"""Paths as a person writes them: ``~`` is the home folder, environment variables stay as they are.

A spec and its record say the same on every machine and hold no secrets: what an environment
variable holds never enters them. A shell expands variables before rmplug sees a path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rmplug.errors import RmplugError

_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}|%\w+%")


def user_path(written: str | Path) -> Path:
    """Return a path with ``~`` expanded; one that names an environment variable, and is not there
    under that very name, is refused."""
    path = Path(os.path.expanduser(written))  # noqa: PTH111 - unlike Path's, leaves ~nobody as it is
    hint = not_expanded(path)
    if hint and not path.exists():
        raise RmplugError(f"{written}: there is no such file or folder{hint}")
    return path


def not_expanded(path: str | Path) -> str:
    """Explain, to be put after a sentence, that a variable in a path is not expanded; empty where
    there is none."""
    found = _VARIABLE.search(str(path))
    if found is None:
        return ""
    return (
        f"; {found.group()} is not expanded, so that a spec says the same everywhere: write the "
        "path itself, or let the shell expand it (for a spec, in --set)"
    )
