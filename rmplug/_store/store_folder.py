"""The folder of the store: the one that is named, else ``.rmplug`` in the current folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rmplug.errors import StoreError

from .store import Store
from .user_paths import user_path

DEFAULT = ".rmplug"
VARIABLE = "RMPLUG_STORE"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""The start of an address; a drive of Windows has one letter. A ``Path`` has one slash left."""


def open_store(path: str | Path | None) -> Store:
    """Open the store at a path, else at ``RMPLUG_STORE``, else at ``.rmplug`` in the current
    folder: not beside the spec, as runs are listed and compared where no spec is named. Raises
    StoreError for an address such as ``s3://bucket``, which would be a folder of that name."""
    named = path or os.environ.get(VARIABLE) or DEFAULT
    if _ADDRESS.match(str(named)):
        raise StoreError(
            f"the store {named} is an address, and a store is a folder in which files are locked "
            "and folders renamed: name one with --store, for a cluster one that all nodes share"
        )
    return Store(user_path(named))


def new_store_note(store: Store, spec: Path | None) -> str:
    """Say that a run begins a new store, and that there is another one beside the spec, if there
    is; empty where the store is there already."""
    if store.artifacts.is_dir():
        return ""
    note = f"new store: {store.root.absolute()} (name another with --store or {VARIABLE})"
    beside = spec.absolute().parent / DEFAULT if spec is not None else store.root
    if (beside / "artifacts").is_dir():
        note += f"; there is one beside the spec: --store {beside} uses it"
    return note
