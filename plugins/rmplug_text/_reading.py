"""From rows of files to batches of columns: two passes, so that every batch has the same columns.

The first pass finds what is unreadable and which types the columns have; the second gives the rows.
Memory holds one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice
from rmplug.data.messages import as_messages, message_type, prompt_groups
from rmplug.data.raw_texts import BadRow
from rmplug.errors import did_you_mean, some

from ._fields import Columns, flatten
from ._files import DataFile, data_files
from ._formats import read_rows
from ._rows import Row, Unreadable

BATCH_ROWS = 2048
BATCH_CHARACTERS = 1 << 24
ROWS_TO_JUDGE = 1000
AS_TEXT = ("group", "subset", "model")

Policy: TypeAlias = Literal["error", "drop"]
Entry: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""One row to give: its texts and id, and its further columns."""


class Layout(ABC):
    """What the rows of a file are: makes the rows to give of each of them."""

    first_pass = True
    """Whether rows that are left out are still to be counted."""

    @abstractmethod
    def __call__(self, row: Row) -> Sequence[Entry]:
        """The rows that a row of a file gives; raises ``BadRow`` when it cannot be used."""


@dataclass
class Source:
    """The rows to read, and what to do with those that cannot be."""

    paths: Sequence[Path]
    format: str = "auto"
    bad_rows: Policy = "error"
    limit: int | None = None
    files: list[DataFile] = field(default_factory=list)

    def records(self) -> Iterator[Row | Unreadable]:
        """Every row of every file."""
        self.files = self.files or data_files(self.paths)
        return read_rows(self.files, self.format)

    def rows(self) -> Iterator[Row]:
        """The readable rows of a second pass."""
        return (record for record in self.records() if isinstance(record, Row))


class Complaints:
    """Gathers the rows that cannot be used: an error at the end, or notices as they come."""

    def __init__(self, policy: Policy, hint: str) -> None:
        self.policy = policy
        self.hint = hint
        self.total = 0
        self.parsed = 0
        self.usable = 0
        self.shown: list[str] = []
        self.missing: dict[str, int] = {}
        self.found: list[str] = []

    def unreadable(self, record: Unreadable) -> None:
        """Count a row that could not even be parsed."""
        self._count(record.place, record.reason, record.detail)

    def parsed_row(self, row: Row, fault: BadRow | None) -> None:
        """Count a row that was parsed; a column that none of many rows has is an error at once."""
        self.parsed += 1
        self.found = self.found or list(flatten(row.value))
        if fault is None:
            self.usable += 1
            return
        if fault.missing:
            self.missing[fault.missing] = self.missing.get(fault.missing, 0) + 1
        self._count(row.place, fault.reason, fault.detail)
        if self.parsed == ROWS_TO_JUDGE:
            self._check_missing()

    def finish(self, files: Sequence[DataFile]) -> None:
        """After the last row: raise what must be raised."""
        self._check_missing()
        if self.total and self.policy == "error":
            raise DataError(
                f"{self.total} {'row' if self.total == 1 else 'rows'} cannot be used: "
                f"{self._listed()}; set bad_rows: drop to leave such rows out"
            )
        if self.total and not self.usable:
            raise DataError(f"none of the {self.total} rows can be used: {self._listed()}")
        if not self.usable:
            raise DataError(f"{some(file.name for file in files)}: there are no rows")

    def _check_missing(self) -> None:
        for path, count in self.missing.items():
            if count == self.parsed:
                raise DataError(
                    f"no row has {path!r}{did_you_mean(path, self.found)}; "
                    f"found: {some(self.found, 20)}; {self.hint}"
                )

    def _listed(self) -> str:
        more = self.total - len(self.shown)
        return "; ".join(self.shown) + (f" and {more} more" if more else "")

    def _count(self, place: str, reason: str, detail: str) -> None:
        self.total += 1
        told = f"{reason} ({detail})" if detail else reason
        if len(self.shown) < 5:
            self.shown.append(f"{place}: {told}")
        if self.policy == "drop":
            notice(f"unreadable row: {reason}", [place], "dropped")


class Survey:
    """The first pass: which rows can be used, and the types of the further columns."""

    def __init__(self, source: Source, convert: Layout, hint: str) -> None:
        self.source = source
        self.convert = convert
        self.columns = Columns(AS_TEXT)
        self.complaints = Complaints(source.bad_rows, hint)
        self.repaired: list[str] = []

    def run(self) -> Columns:
        """Read everything once; raise if a row is bad and the policy says so."""
        for record in self.source.records():
            if isinstance(record, Unreadable):
                self.complaints.unreadable(record)
            else:
                self.complaints.parsed_row(record, self._fault(record))
            if self.complaints.usable == self.source.limit:
                break
        self.convert.first_pass = False
        self.complaints.finish(self.source.files)
        notice("half of a surrogate pair replaced by U+FFFD", self.repaired, "changed")
        return self.columns

    def _fault(self, row: Row) -> BadRow | None:
        """Learn from a row, or say what is wrong with it."""
        try:
            entries = self.convert(row)
        except BadRow as fault:
            return fault
        for _, further in entries:
            self.columns.learn(further, row.typed)
        if row.repaired:
            self.repaired.append(row.place)
        return None


def tables(source: Source, convert: Layout, texts: Sequence[str], hint: str) -> Iterator[pa.Table]:
    """Batches of the rows that ``convert`` makes of the rows of files: ``id``, the columns named in
    ``texts`` as messages, and all further columns. At least one batch, all with one schema."""
    columns = Survey(source, convert, hint).run()
    whole = frozenset(columns.whole)
    batch: list[Entry] = []
    size = 0
    given = False
    for row, entries in islice(_usable(source, convert), source.limit):
        batch.extend((core, _folded(further, row, whole)) for core, further in entries)
        size += row.size
        if len(batch) >= BATCH_ROWS or size > BATCH_CHARACTERS:
            yield build(batch, texts, columns)
            batch, size, given = [], 0, True
    if batch or not given:
        yield build(batch, texts, columns)


def _usable(source: Source, convert: Layout) -> Iterator[tuple[Row, Sequence[Entry]]]:
    for row in source.rows():
        try:
            yield row, convert(row)
        except BadRow:
            continue


def _folded(further: dict[str, Any], row: Row, whole: frozenset[str]) -> dict[str, Any]:
    """Mappings with too many keys put back together."""
    if not whole:
        return further
    kept = {n: v for n, v in further.items() if n.partition(".")[0] not in whole}
    return kept | {name: row.value[name] for name in whole if name in row.value}


def build(entries: Sequence[Entry], texts: Sequence[str], columns: Columns) -> pa.Table:
    """One batch of entries as a table."""
    arrays: dict[str, Any] = {"id": pa.array([core["id"] for core, _ in entries], pa.string())}
    for name in texts:
        role = "user" if name == "prompt" else "assistant"
        arrays[name] = _messages([core[name] for core, _ in entries], role)
    for name in columns.kinds:
        arrays[name] = columns.array(name, [further.get(name) for _, further in entries])
    table = pa.table(arrays)
    return _with_groups(table) if "group" in table.column_names else table


def _messages(values: list[Any], role: str) -> pa.ChunkedArray:
    if all(isinstance(value, str) for value in values):
        return as_messages(pa.chunked_array([pa.array(values, pa.string())]), role)
    turns = [[{"role": role, "content": v}] if isinstance(v, str) else v for v in values]
    return pa.chunked_array([pa.array(turns, message_type())])


def _with_groups(table: pa.Table) -> pa.Table:
    """Rows without a group get the hash of their prompt, as data without groups do."""
    place = table.schema.get_field_index("group")
    groups = table["group"].combine_chunks()
    if groups.null_count:
        groups = pc.coalesce(groups, prompt_groups(table["prompt"]))
    return table.set_column(place, "group", groups).select(
        ["id", "group", *(name for name in table.column_names if name not in ("id", "group"))]
    )
