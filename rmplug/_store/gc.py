"""The removal of what a store can do without: results that no run refers to, and debris."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rmplug.errors import StoreError
from rmplug.records import RunRecord

from .files import guarded, is_held, remove
from .kept_index import sources_of
from .record_files import RECORD
from .run_records import AnyRecord, UnreadableRecord, each_record, is_live
from .store import Store, Stored

MARGIN = 60.0
GATE = "gc"


@dataclass(frozen=True)
class Garbage:
    """The results and debris that were removed, or would be."""

    names: list[str]
    """Results and debris, by their names in the store."""
    bytes: int
    runs: list[str]
    """Runs that are forgotten."""
    kept: int
    """Runs that are still known."""
    values: int = 0
    """Bytes of what models gave for texts, in the folder ``kept``, that stay."""
    notes: list[str] = field(default_factory=list)
    """Records that are not understood, each in one sentence: what they name is kept."""


def collect_garbage(
    store: Store, keep: int | None = None, dry_run: bool = False, values: bool = False
) -> Garbage:
    """Remove what no run refers to; with ``keep``, forget all runs but the last ``keep`` first.
    What models gave for texts goes with the last run that used it, or in which the step that asked
    them failed; with ``values``, all of it.

    What live runs use or have made so far is left alone, even if their records do not tell yet.
    No run can start meanwhile. Runs whose records cannot be read are kept, and so is every result
    that stands in the text of a record that is not understood.
    """
    if not store.locks.is_dir():
        return Garbage([], 0, [], 0)
    _refuse_links(store)
    with guarded(f"clean {store.name}"), store.lock(GATE):
        newest = store.newest_garbage()
        runs = [_known(store, record) for record in each_record(store)]
        live = [run for run in runs if run.is_live]
        last = runs if keep is None else runs[len(runs) - min(keep, len(runs)) :]
        unreadable = [run for run in runs if not run.is_readable]
        kept = {run.id: run for run in [*last, *live, *unreadable]}
        forgotten = [run.id for run in runs if run.id not in kept]
        everything = store.everything()
        since = min((newest, *(run.started for run in live)))
        doomed = _doomed(store, everything, list(kept.values()), since, values)
        size = sum(each.bytes for each in doomed)
        texts = [each for each in everything if each.folder.parent == store.kept]
        stay = sum(each.bytes for each in texts if each not in doomed)
        folders = [each.folder for each in doomed]
        if not dry_run:
            _sweep(store, folders, [store.runs / name for name in forgotten], not live)
    notes = [run.note for run in kept.values() if run.note]
    return Garbage([folder.name for folder in folders], size, forgotten, len(kept), stay, notes)


def _refuse_links(store: Store) -> None:
    """Raise ``StoreError`` where a folder of the store is a link: what stands behind it may be
    anything, and gc would remove it."""
    for folder in (store.artifacts, store.partial, store.locks, store.runs, store.kept):
        if folder.is_symlink():
            raise StoreError(
                f"{folder} is a link to elsewhere: gc removes nothing outside the store; "
                "clean it by hand, or make the store itself the link"
            )


@dataclass(frozen=True)
class _Run:
    """The part of a record that matters here: all of it, of many runs, would fill the memory."""

    id: str
    started: float
    """In seconds since the epoch; the beginning of time where nobody knows."""
    is_live: bool
    is_readable: bool
    names: frozenset[bytes] | None
    """The artifacts that it refers to; None where that may be any."""
    note: str


def _known(store: Store, record: AnyRecord) -> _Run:
    is_readable = isinstance(record, RunRecord)
    live, names = is_live(store, record.id), _names(store, record)
    return _Run(record.id, _started(record), live, is_readable, names, _note(record))


def _note(record: AnyRecord) -> str:
    if isinstance(record, UnreadableRecord):
        return record.problem
    return f"{record.id}: {record.note}" if record.note else ""


def _doomed(
    store: Store, everything: Sequence[Stored], kept: Sequence[_Run], since: float, values: bool
) -> list[Stored]:
    """Return what no run refers to, and no run may have used or made ``since`` a time."""
    wanted = frozenset[bytes]().union(*(run.names for run in kept if run.names is not None))
    if any(run.names is None for run in kept):
        return []
    return [
        each
        for each in everything
        if each.used <= since - MARGIN
        and not is_held(store.locks / f"{each.folder.name}.lock")
        and ((values and each.folder.parent == store.kept) or not _is_wanted(store, each, wanted))
    ]


def _is_wanted(store: Store, each: Stored, wanted: frozenset[bytes]) -> bool:
    """Check whether a name is among those wanted; of what models gave, also that of a result it was
    given for: the record of a run that was killed tells no more."""
    if each.folder.name.encode() in wanted:
        return True
    if each.folder.parent != store.kept:
        return False
    store.pull_kept(each.folder.name)
    return any(source.encode() in wanted for source in sources_of(each.folder))


def _started(record: AnyRecord) -> float:
    try:
        return datetime.fromisoformat(getattr(record, "started", "")).timestamp()
    except ValueError:
        return -math.inf


def _names(store: Store, record: AnyRecord) -> frozenset[bytes] | None:
    """The artifacts and kept values that a record refers to. One that is not wholly understood may
    refer to more than it says, so that every name in its text counts; None where that cannot be
    read."""
    if isinstance(record, RunRecord) and record.is_understood:
        return frozenset(map(str.encode, record.artifacts() | record.kept()))
    try:
        text = (store.runs / record.id / RECORD).read_bytes()
    except OSError:
        return None
    return frozenset(re.findall(rb"[\w-]+", text))


def remove_unfinished(store: Store, last: int | None = None) -> None:
    """Remove what runs that were killed were writing just then, of the ``last`` runs or of all."""
    names = sorted(run.name for run in store.runs.iterdir())
    for file in _unfinished(store, names if last is None else names[-last:]):
        file.unlink(missing_ok=True)


def _unfinished(store: Store, runs: Sequence[str]) -> list[Path]:
    """Files that were being written when a run was killed, and notes on folders that are gone."""
    records = [
        file
        for name in runs
        if (found := list((store.runs / name).glob(f".{RECORD}.*.tmp")))
        and not is_live(store, name)
        for file in found
    ]
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
    with guarded(f"clean {store.name}"):
        for folder in doomed:
            folder.with_name(f"{folder.name}.cut").unlink(missing_ok=True)
            if folder.name.startswith("."):
                shutil.rmtree(folder)
            else:
                remove(folder)
        store.removed([*doomed, *runs])
        for run in runs:
            run.unlink() if run.is_symlink() else shutil.rmtree(run)
        remove_unfinished(store)
        for lock in store.locks.glob("*.lock") if locks else ():
            if lock.stem != GATE:
                lock.unlink(missing_ok=True)
