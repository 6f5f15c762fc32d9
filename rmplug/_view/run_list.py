"""The runs of a store as a list: status, times, and what each found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rmplug._store.reports import Told, pages_of, told_by
from rmplug._store.run_records import UnreadableRecord, record_paths, summarise
from rmplug._store.store import Store
from rmplug.errors import StoreError
from rmplug.records import RunSummary

Mark = tuple[int, int]


@dataclass(frozen=True)
class RunLine:
    """One run in the list; of one whose record cannot be read, the reason."""

    id: str
    name: str
    status: str
    started: str
    seconds: float | None
    steps: str
    headline: str = ""
    finding: str = ""
    note: str = ""

    @property
    def is_readable(self) -> bool:
        """False if there is no page of the run to open."""
        return self.status != "unreadable"


class RunList:
    """The runs of a store. A record is read again only when it has changed: a thousand runs are
    listed in the time of a thousand looks at a file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Path, tuple[Mark, RunLine]] = {}

    def lines(self) -> list[RunLine]:
        """Return all runs, the latest first."""
        paths = record_paths(self._store)
        lines = [self._line(path) for path in reversed(paths)]
        self._known = {path: self._known[path] for path in paths if path in self._known}
        return lines

    def _line(self, path: Path) -> RunLine:
        try:
            stat = path.stat()
        except OSError as error:  # removed meanwhile
            return _unreadable(UnreadableRecord(path.parent.name, str(error)))
        mark = (stat.st_mtime_ns, stat.st_size)
        known = self._known.get(path)
        if known and known[0] == mark and known[1].status != "running":
            return known[1]
        run = summarise(self._store, path)
        line = self._read(run) if isinstance(run, RunSummary) else _unreadable(run)
        self._known[path] = (mark, line)
        return line

    def _read(self, run: RunSummary) -> RunLine:
        try:
            words = told_by(pages_of(self._store, run.reports))
        except (StoreError, OSError, ValueError):  # a damaged report tells nothing
            words = Told()
        finding = words.findings[0][1] if words.findings else ""
        return RunLine(
            run.id,
            run.name,
            run.status,
            run.started,
            run.seconds,
            f"{run.ended} of {run.steps}",
            words.headline,
            "" if finding == words.headline else finding,
            run.note or run.reason,
        )


def _unreadable(run: UnreadableRecord) -> RunLine:
    return RunLine(run.id, "", "unreadable", "", None, "", note=run.problem)
