"""What a store can do without: results that no run refers to, and debris."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rmplug.records import RunRecord

from .files import guarded, is_held, remove
from .record_files import RECORD
from .run_records import AnyRecord, UnreadableRecord, all_records, is_live
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
    notes: list[str] = field(default_factory=list)
    """Records that are not understood, each in one sentence: what they name is kept."""


def collect_garbage(store: Store, keep: int | None = None, dry_run: bool = False) -> Garbage:
    """Remove what no run refers to; with ``keep``, forget all runs but the last ``keep`` first.

    What live runs use or have made so far is left alone, even if their records do not tell yet.
    No run can start meanwhile. Runs whose records cannot be read are kept, and so is every result
    that stands in the text of a record that is not understood.
    """
    if not store.locks.is_dir():
        return Garbage([], 0, [], 0)
    with guarded(f"clean {store.root}"), store.lock(GATE):
        records = all_records(store)
        live = [record for record in records if is_live(store, record.id)]
        last = records if keep is None else records[len(records) - min(keep, len(records)) :]
        unreadable = [record for record in records if isinstance(record, UnreadableRecord)]
        kept = {record.id: record for record in [*last, *live, *unreadable]}
        forgotten = [record.id for record in records if record.id not in kept]
        doomed = _doomed(store, list(kept.values()), live)
        size = sum(_size(folder) for folder in doomed)
        if not dry_run:
            _sweep(store, doomed, [store.runs / name for name in forgotten], not live)
    notes = [note for record in kept.values() if (note := _note(record))]
    return Garbage([folder.name for folder in doomed], size, forgotten, len(kept), notes)


def _note(record: AnyRecord) -> str:
    if isinstance(record, UnreadableRecord):
        return record.problem
    return f"{record.id}: {record.note}" if record.note else ""


def _doomed(store: Store, kept: Sequence[AnyRecord], live: Sequence[AnyRecord]) -> list[Path]:
    wanted = _Wanted(store, kept)
    since = min((_started(record) for record in live), default=math.inf)
    folders = [
        folder
        for parent in (store.artifacts, store.partial)
        for folder in sorted(parent.glob("*"))
        if folder.is_dir()
    ]
    return [
        folder
        for folder in folders
        if folder.name not in wanted
        and folder.stat().st_mtime <= since - MARGIN
        and not is_held(store.locks / f"{folder.name}.lock")
    ]


def _started(record: AnyRecord) -> float:
    """When a run began, in seconds since the epoch; the beginning of time where nobody knows."""
    try:
        return datetime.fromisoformat(getattr(record, "started", "")).timestamp()
    except ValueError:
        return -math.inf


class _Wanted:
    """The artifacts that records refer to. A record that is not wholly understood may refer to
    more than it says, so that every name in its text counts."""

    def __init__(self, store: Store, records: Sequence[AnyRecord]) -> None:
        self._names: set[bytes] = set()
        self._all = False
        for record in records:
            if isinstance(record, RunRecord) and record.is_understood:
                self._names.update(map(str.encode, record.artifacts()))
            else:
                self._add_text(store.runs / record.id / RECORD)

    def _add_text(self, path: Path) -> None:
        try:
            self._names.update(re.findall(rb"[\w-]+", path.read_bytes()))
        except OSError:
            self._all = True

    def __contains__(self, name: str) -> bool:
        return self._all or name.encode() in self._names


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _unfinished(store: Store) -> list[Path]:
    """Files that were being written when a run was killed, and notes on folders that are gone."""
    runs = [run for run in store.runs.glob("*") if not is_live(store, run.name)]
    records = [file for run in runs for file in run.glob(f".{RECORD}.*.tmp")]
    notes = {
        file: file.name.partition(".cut")[0].lstrip(".") for file in store.partial.glob(".*.tmp")
    }
    notes |= {file: file.stem for file in store.partial.glob("*.cut")}
    return records + [
        file
        for file, key in notes.items()
        if not (file.suffix == ".cut" and (store.partial / key).is_dir())
        and not is_held(store.locks / f"{key}.lock")
    ]


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
        for file in _unfinished(store):
            file.unlink(missing_ok=True)
        for lock in store.locks.glob("*.lock") if locks else ():
            if lock.stem != GATE:
                lock.unlink(missing_ok=True)
