"""What a store kept of models' values when a run began."""

from __future__ import annotations

from typing import Any

from rmplug._store.kept import visible_sources
from rmplug._store.store import Store


class KeptAtStart:
    """The sources of kept values that were in the store before a run added its own: listed when
    they are first asked for, or sent to a worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources: frozenset[str] | None = None

    def sources(self) -> frozenset[str]:
        """Return the names of the sources."""
        if self._sources is None:
            self._store.pull_kept()
            self._sources = visible_sources(self._store.kept)
        return self._sources

    def __getstate__(self) -> dict[str, Any]:
        self.sources()
        return self.__dict__
