"""The results of a run that may be shown: in the store itself, whoever wrote its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug._store.serialize import FILES, TABLES, read_artifact
from rmplug._store.store import Store
from rmplug.errors import StoreError
from rmplug.records import RunRecord, StepRecord

if TYPE_CHECKING:
    from rmplug.artifacts import Tabular


def result_folder(store: Store, key: str) -> Path | None:
    """Return the folder of a result; None if it is gone, or if the name or a link in the folder
    leads out of it. A record and its results may be a stranger's."""
    if not key or Path(key).name != key or key == ".." or "\0" in key:
        return None
    folder = store.find(key)
    if folder is None or folder.is_symlink():
        return None
    return None if any(path.is_symlink() for path in folder.rglob("*")) else folder


def without_strange_results(store: Store, record: RunRecord) -> RunRecord:
    """Forget the results of a record that must not be read; gives the same record."""
    for step in record.steps.values():
        step.artifact = _safe(store, step.artifact)
        step.results = {name: _safe(store, key) for name, key in step.results.items()}
    return record


def _safe(store: Store, key: str) -> str:
    return key if result_folder(store, key) is not None else ""


@dataclass(frozen=True)
class StoredTable:
    """A table that a step of a run gave."""

    name: str
    """The step, with the name of the result of a loop: ``folds.reward``."""
    key: str
    type: str
    rows: int
    columns: tuple[str, ...]


def tables_of(store: Store, record: RunRecord) -> Iterator[StoredTable]:
    """Yield the tables of a run, in the order of its steps; one that cannot be read is none."""
    for step in record.steps.values():
        for name, key in _named_results(step):
            try:
                table = open_table(store, key)
            except (StoreError, OSError, ValueError):  # gone, damaged, or of a newer version
                continue
            if table is not None:
                kind = type(table).__name__
                yield StoredTable(name, key, kind, len(table), tuple(table.columns))


def _named_results(step: StepRecord) -> Iterator[tuple[str, str]]:
    results = {f"{step.id}.{name}": key for name, key in step.results.items()}
    yield from (results or {step.id: step.artifact}).items()


def open_table(store: Store, key: str) -> Tabular | None:
    """Open a table of the store, whose rows are read when they are asked for; None for a result of
    another sort."""
    folder = result_folder(store, key)
    if folder is None:
        return None
    manifest = store.manifest(key)
    if manifest["type"] not in TABLES or not manifest["parts"]:
        return None
    artifact = read_artifact(folder, manifest, key, None)
    return artifact if isinstance(artifact, TABLES[manifest["type"]]) else None


def report_file(store: Store, key: str, inside: str) -> Path | None:
    """Return a file of a report; None for anything that is not among its files."""
    folder = result_folder(store, key)
    if folder is None or "\0" in inside:
        return None
    root = (folder / FILES).resolve()
    path = (root / inside).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None
