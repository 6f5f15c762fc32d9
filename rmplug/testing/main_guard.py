"""The line that a script needs whose work goes to processes: each of them reads the script too."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

from rmplug.errors import RmplugError


def refuse_unguarded(name: str) -> None:
    """Refuse a call of the function ``name`` at the top of a script, where each worker process,
    which reads the script, would call it again."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        top = frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__"
        if top and _is_unguarded(frame):
            raise RmplugError(
                f"{name} starts worker processes, which read the script that calls it: in "
                f"{Path(frame.f_code.co_filename).name}, put the call below if __name__ == "
                '"__main__":'
            )
        frame = frame.f_back


def _is_unguarded(frame: FrameType) -> bool:
    """Check whether the line of a script at which it is now stands below no condition on its
    name."""
    try:
        script = ast.parse(Path(frame.f_code.co_filename).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # no file: text of a shell or notebook
        return False
    at = frame.f_lineno
    here = [part for part in script.body if part.lineno <= at <= (part.end_lineno or at)]
    guards = [part.test for part in here if isinstance(part, ast.If)]
    names = [node.id for test in guards for node in ast.walk(test) if isinstance(node, ast.Name)]
    return bool(here) and "__name__" not in names
