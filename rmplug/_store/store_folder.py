"""The folder of the store: the one that is named, else one beside the work that goes on."""

from __future__ import annotations

import os
from pathlib import Path

from .store import Store

DEFAULT = ".rmplug"
VARIABLE = "RMPLUG_STORE"


def open_store(path: str | Path | None) -> Store:
    """Open the store at a path, else at ``RMPLUG_STORE``, else at ``.rmplug`` in the current
    folder: runs are listed and compared where no spec is named."""
    return Store(path or os.environ.get(VARIABLE) or DEFAULT)
