"""Records of runs, written while they go on, so that a killed run tells too."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rmplug.errors import StoreError, did_you_mean
from rmplug.records import RunRecord, RunSummary, StepRecord

from .files import guarded, held, is_held, write_file
from .record_files import RECORD, read_record, read_summary, record_bytes
from .store import Store

SILENCE = 86_400.0
"""Seconds after which a run on another machine, that has said nothing since, counts as ended: a
single step may take long."""
MOST_READ = 50
"""Records that are read at most to say why a step runs though it was done before."""


def new_record(name: str, spec: Mapping[str, Any], spec_file: str, seed: int) -> RunRecord:
    started = datetime.now(UTC)
    when = started.isoformat(timespec="milliseconds")
    stamp = f"{started:%Y%m%d-%H%M%S}-{started.microsecond // 1000:03d}"
    identity = f"{stamp}-{_safe(name)}-{secrets.token_hex(2)}"
    return RunRecord(identity, name, dict(spec), spec_file, seed, started=when)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40]


def write_record(store: Store, record: RunRecord, flush: bool = True) -> Path:
    """Write the record of a run; gives its path. Without ``flush`` it survives the end of the
    process, but perhaps not that of the machine, and other machines do not see it yet."""
    folder = store.runs / record.id
    with guarded(f"write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / RECORD, record_bytes(record), flush)
    if flush:
        store.share_record(record.id)
    return folder / RECORD


class RecordWriter:
    """Writes the record of a run while it goes on. Before work begins it is written at once, so
    that it tells what was going on if the run is killed; while steps only end, as hundreds of
    reused ones do in a second, at most every ``PAUSE`` seconds: writing all steps after each of
    them would take time that grows with the square of their number."""

    PAUSE = 0.5
    SENT = 10.0
    """Seconds between two times that other machines see it, while steps go on."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self._record = record
        self._written = -math.inf
        self._sent = time.monotonic()

    def write(self, now: bool) -> None:
        """Write the record, or leave it to a later call unless it must be ``now``. One that cannot
        be written (a full disk) is no reason to stop: what the steps write will tell, and the last
        record must be written."""
        if now or time.monotonic() - self._written > self.PAUSE:
            with suppress(StoreError):
                write_record(self._store, self._record, flush=False)
                if time.monotonic() - self._sent > self.SENT:
                    self._sent = time.monotonic()
                    self._store.share_record(self._record.id)
            self._written = time.monotonic()


@contextmanager
def live(store: Store, record: RunRecord) -> Iterator[float]:
    """While a run goes on: others can see that it does. Gives when it began, by the clock of the
    file system. Waits for ``gc`` to end, if it is at work."""
    with guarded(f"write {store.runs / record.id}"):
        (store.runs / record.id).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with store.lock("gc"):
            stack.enter_context(held(_live_lock(store, record.id)))
            path = write_record(store, record)
        yield path.stat().st_mtime


def is_live(store: Store, run: str) -> bool:
    """Check whether the run with this id goes on in some process; one of another machine does, as
    far as can be known, if its record says so and was sent within the last ``SILENCE`` seconds."""
    lock = _live_lock(store, run)
    if not store.address or lock.exists():
        return is_held(lock)
    path = store.runs / run / RECORD
    with suppress(StoreError, OSError):
        recent = path.stat().st_mtime > time.time() - SILENCE
        return recent and read_summary(path).status == "running"
    return False


def _live_lock(store: Store, run: str) -> Path:
    return store.runs / run / "live.lock"


@dataclass(frozen=True)
class UnreadableRecord:
    """A run whose record cannot be read."""

    id: str
    """The name of the run's folder."""
    problem: str
    """The reason, in one sentence."""


AnyRecord = RunRecord | UnreadableRecord


def record_paths(store: Store, name: str = "*") -> list[Path]:
    """Paths of records, oldest first: the name of a run begins with when it started."""
    store.pull_records()
    return sorted(store.runs.glob(f"{name}/{RECORD}"), key=lambda path: path.parent.name)


def _read(store: Store, path: Path) -> RunRecord:
    """Read a record; one of a run that was killed says that it was interrupted."""
    record = read_record(path)
    if record.status == "running" and not is_live(store, path.parent.name):
        record.status = "interrupted"
    return record


def each_record(store: Store) -> Iterator[AnyRecord]:
    """Every run that the store knows, oldest first, read one at a time: many records of many steps
    take much memory, and time to manage it."""
    return (_read_or_say(store, path) for path in record_paths(store))


def each_summary(store: Store) -> Iterator[RunSummary | UnreadableRecord]:
    """Every run that the store knows, oldest first, as a list of runs shows it."""
    return (summarise(store, path) for path in record_paths(store))


def summarise(store: Store, path: Path) -> RunSummary | UnreadableRecord:
    """Summarise the run with the record at a path, as a list of runs shows it."""
    try:
        summary = read_summary(path)
    except StoreError as error:
        return UnreadableRecord(path.parent.name, str(error))
    ended = summary.status != "running" or is_live(store, path.parent.name)
    return summary if ended else replace(summary, status="interrupted")


def read_run(store: Store, identity: str) -> RunRecord:
    """Read the record of the run with exactly this id, which may be a stranger's words; no link
    leads out of the store.

    Raises ``StoreError`` if there is none, or it cannot be read."""
    path = store.runs / identity / RECORD
    store.pull_records()
    plain = Path(identity).name == identity != ".." and "\0" not in identity
    if (
        not plain
        or not path.is_file()
        or path.resolve() != store.runs.resolve() / identity / RECORD
    ):
        raise StoreError(f"no run {identity[:80]!r} in {store.name}; see rmplug runs")
    return _read(store, path)


def _read_or_say(store: Store, path: Path) -> AnyRecord:
    try:
        return _read(store, path)
    except StoreError as error:
        return UnreadableRecord(path.parent.name, str(error))


def find_record(store: Store, name: str) -> RunRecord:
    """Find a run by its id, its spec's name (the latest), the beginning of either, or ``last``.

    Raises ``StoreError`` if there is none, or if the record of the one that is meant cannot be
    read."""
    paths = record_paths(store)
    if not paths:
        raise StoreError(f"there are no runs in {store.name}; name another store with --store")
    if name == "last":
        return _read(store, paths[-1])
    written = _safe(name)  # ids hold the beginning of the name, so that few records are read
    likely = [path for path in paths if written in path.parent.name]
    found = name and (
        _named(store, likely, lambda known: known == name)
        or _of_id(store, paths, name)
        or _named(store, paths, lambda known: known == name)
        or _named(store, likely, lambda known: known.startswith(name))
    )
    if not found:
        ids = [path.parent.name for path in paths]
        names = dict.fromkeys(identity.split("-", 3)[-1].rpartition("-")[0] for identity in ids)
        hint = did_you_mean(name, [*names, *ids])
        raise StoreError(f"no run {name!r} in {store.name}{hint}; see rmplug runs")
    return found


def _of_id(store: Store, paths: Sequence[Path], name: str) -> RunRecord | None:
    """Read the latest run whose id begins with a text."""
    meant = [path for path in paths if path.parent.name.startswith(name)]
    return _read(store, meant[-1]) if meant else None


def _named(store: Store, paths: Sequence[Path], fits: Callable[[str], bool]) -> RunRecord | None:
    """Read the latest run whose spec's name fits; records that cannot be read are passed over."""
    for path in reversed(paths):
        with suppress(StoreError):
            if fits(read_summary(path).name):
                return _read(store, path)
    return None


class PreviousSteps:
    """The last outcome of each step of the runs with a name, read only as far back as needed."""

    def __init__(self, store: Store, name: str) -> None:
        self._name = name
        self._unread = record_paths(store, f"*-{_safe(name)}-*")[-MOST_READ:]
        self._steps: dict[str, StepRecord] = {}

    def get(self, step: str) -> StepRecord | None:
        """The latest record of a step that had a result; None if the last runs had none."""
        while step not in self._steps and self._unread:
            with suppress(StoreError):
                record = read_record(self._unread.pop())
                if record.name == self._name:
                    done = {key: each for key, each in record.steps.items() if each.artifact}
                    self._steps = {**done, **self._steps}
        return self._steps.get(step)
