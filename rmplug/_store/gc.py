"""What a store can do without: results that no run refers to, and debris."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rmplug.records import RunRecord

from .files import guarded, is_held, remove
from .run_records import all_records, is_live
from .store import Store

MARGIN = 60.0
GATE = "gc"


@dataclass(frozen=True)
class Garbage:
    """What was removed, or would be."""

    names: list[str]
    """Results and debris, by their names in the store."""
    bytes: int
    runs: list[str]
    """Runs that are forgotten."""
    kept: int
    """Runs that are still known."""


def collect_garbage(store: Store, keep: int | None = None, dry_run: bool = False) -> Garbage:
    """Remove what no run refers to; with ``keep``, forget all runs but the last ``keep`` first.

    What live runs use or have made so far is left alone, even if their records do not tell yet.
    No run can start meanwhile.
    """
    if not store.locks.is_dir():
        return Garbage([], 0, [], 0)
    with store.lock(GATE):
        records = all_records(store)
        live = [record for record in records if is_live(store, record)]
        last = records if keep is None else records[len(records) - min(keep, len(records)) :]
        kept = {record.id: record for record in [*last, *live]}
        forgotten = [record.id for record in records if record.id not in kept]
        doomed = _doomed(store, list(kept.values()), live)
        size = sum(_size(folder) for folder in doomed)
        if not dry_run:
            _sweep(store, doomed, [store.runs / name for name in forgotten], not live)
    return Garbage([folder.name for folder in doomed], size, forgotten, len(kept))


def _doomed(store: Store, kept: Sequence[RunRecord], live: Sequence[RunRecord]) -> list[Path]:
    wanted = {key for record in kept for key in record.artifacts()}
    since = min((datetime.fromisoformat(record.started).timestamp() for record in live), default=0)
    folders = [
        folder
        for place in (store.artifacts, store.partial)
        for folder in sorted(place.glob("*"))
        if folder.is_dir()
    ]
    return [
        folder
        for folder in folders
        if folder.name not in wanted
        and not (since and folder.stat().st_mtime > since - MARGIN)
        and not is_held(store.locks / f"{folder.name}.lock")
    ]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sweep(store: Store, doomed: Sequence[Path], runs: Sequence[Path], locks: bool) -> None:
    with guarded(f"clean {store.root}"):
        for folder in doomed:
            folder.with_name(f"{folder.name}.cut").unlink(missing_ok=True)
            if folder.name.startswith("."):
                shutil.rmtree(folder)
            else:
                remove(folder)
        for run in runs:
            shutil.rmtree(run)
        for lock in store.locks.glob("*.lock") if locks else ():
            if lock.stem != GATE:
                lock.unlink(missing_ok=True)
