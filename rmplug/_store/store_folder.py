"""The store that is named, a folder or an address, else ``.rmplug`` in the current folder."""

from __future__ import annotations

import os
from pathlib import Path

from .address import address_of
from .store import Store
from .user_paths import user_path

DEFAULT = ".rmplug"
VARIABLE = "RMPLUG_STORE"


def open_store(path: str | Path | None) -> Store:
    """Open the store at a path or at an address such as ``s3://bucket/folder``, else at
    ``RMPLUG_STORE``, else at ``.rmplug`` in the current folder: not beside the spec, as runs are
    listed and compared where no spec is named."""
    named = path or os.environ.get(VARIABLE) or DEFAULT
    address = address_of(named)
    if address is None:
        return Store(user_path(named))
    from .mirrored import MirroredStore

    return MirroredStore(address)


def new_store_note(store: Store, spec: Path | None) -> str:
    """Say that a run begins a new store, and that there is another one beside the spec, if there
    is; empty where the store is there already."""
    if not store.is_new():
        return ""
    note = f"new store: {store.name} (name another with --store or {VARIABLE})"
    beside = spec.absolute().parent / DEFAULT if spec is not None else store.root
    if (beside / "artifacts").is_dir():
        note += f"; there is one beside the spec: --store {beside} uses it"
    return note
