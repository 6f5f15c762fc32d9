"""What a store kept of models' values when a run began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rmplug._store.kept import visible_sources


class KeptAtStart:
    """The sources of kept values that were in the store before a run added its own: listed when
    they are first asked for, or sent to a worker."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sources: frozenset[str] | None = None

    def sources(self) -> frozenset[str]:
        """Return the names of the sources."""
        if self._sources is None:
            self._sources = visible_sources(self._root)
        return self._sources

    def __getstate__(self) -> dict[str, Any]:
        self.sources()
        return self.__dict__
