"""What a model gave, kept in the folder of a step that survives a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """Values by key in a file that only grows: a line for each. What was being written when the
    process was killed counts as not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        whole = 0
        if path.is_file():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    key, value = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    break
                self.values[key] = value
                whole += len(line)
        self._file = path.open("ab")
        self._file.truncate(whole)

    def get(self, key: str) -> Any:
        """Return the value of a key, or None."""
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Write down a value."""
        self.values[key] = value
        self._file.write(json.dumps([key, value]).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
