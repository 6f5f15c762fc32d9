"""A worker on a node of a cluster: a Ray actor that does one task after the other."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Any

import ray

from rmplug import RmplugError
from rmplug.data.pandas_on_demand import keep_pandas_out
from rmplug.packed_work import SharedStore, do_packed

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
"""Variables by which a run keeps off the network, and its workers with it."""
SHARED = "name a store that all nodes share with --store, a folder or an address"


def settings_here() -> dict[str, Any]:
    """Return what workers take over from the process that started the run."""
    variables = {name: os.environ[name] for name in OFFLINE if name in os.environ}
    return {"folder": str(Path.cwd()), "variables": variables}


def versions_here() -> dict[str, str]:
    """Return the versions of what gives kinds and of the libraries that it names: they are part of
    what identifies a result, and must be the same wherever it is made."""
    givers = {entry.dist.name for entry in entry_points(group="rmplug") if entry.dist}
    named = {name for giver in givers for name in map(_named, requires(giver) or ()) if name}
    found = {}
    for name in sorted(givers | named):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _named(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return match[0] if match else ""


def _node() -> str:
    return str(ray.util.get_node_ip_address())


class Worker:
    """One worker: it opens what work needs once, as long as the same work goes on."""

    def __init__(self, folder: str | None, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)
        if folder and Path(folder).is_dir():  # relative paths mean what they mean to the run
            os.chdir(folder)
        keep_pandas_out()
        self._work: tuple[int, bytes] = (0, b"")

    def join(self, versions: Mapping[str, str], packed_store: bytes, mark: str) -> None:
        """Check that this node may take part, and remove the mark that the run left in its store,
        by which the run sees that it is the same one here.

        Raises ``RmplugError`` for a node with other versions, or without the store.
        """
        node = _node()
        here = versions_here()
        for name, wanted in versions.items():
            if here.get(name, wanted) != wanted:
                raise RmplugError(
                    f"node {node} has {name} {here[name]}, and the run {wanted}: install the same "
                    "versions on every node"
                )
        if not mark:
            return
        try:
            store: SharedStore = pickle.loads(packed_store)
            is_same = store.take_mark(mark)
        except RmplugError as error:
            raise RmplugError(f"node {node} {error}: {SHARED}") from error
        if not is_same:
            raise RmplugError(f"node {node} has another store {store.name} than this run: {SHARED}")

    def do(self, number: int, packed: list[Any], task: Any) -> Any:
        """Do one task of work, which is fetched once: ``number`` tells one from another."""
        if self._work[0] != number:
            self._work = (number, ray.get(packed[0]))
        return do_packed(self._work[1], task)
