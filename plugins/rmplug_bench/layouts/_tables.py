"""From published rows to batches of pairs or responses, all with the same columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from rmplug import DataError, notice
from rmplug.data.messages import as_messages, message_type
from rmplug.data.raw_texts import BadRow, Text

from ._files import At, Placed

BATCH_ROWS = 1000
Entry: TypeAlias = dict[str, Any]
Made: TypeAlias = tuple[str, Sequence[Entry]]
"""What a row is called, and the rows that it gives: their texts, columns and, where it gives
several, the ``suffix`` of their ids."""
Layout: TypeAlias = Callable[[dict[str, Any], At], Made]


@dataclass(frozen=True)
class Columns:
    """The columns that a layout gives: texts (``prompt`` first), and others with their types."""

    texts: tuple[str, ...]
    others: Mapping[str, pa.DataType]


PAIRS = ("prompt", "chosen", "rejected")
RESPONSES = ("prompt", "response")


def tables(
    rows: Iterable[Placed], layout: Layout, columns: Columns, bad_rows: str
) -> Iterator[pa.Table]:
    """Batches of what the layout makes of the rows; at least one."""
    batch: list[Entry] = []
    given = read = 0
    for entries in _entries(rows, layout, bad_rows):
        read += 1
        batch += entries
        if len(batch) >= BATCH_ROWS:
            yield _table(batch, columns)
            batch, given = [], given + 1
    if not read:
        raise DataError("there is no row that can be used; give the files as they were published")
    if batch or not given:
        yield _table(batch, columns)


def _entries(rows: Iterable[Placed], layout: Layout, bad_rows: str) -> Iterator[list[Entry]]:
    """The rows of each row, with ids; a name that was there before gets a number."""
    seen: Counter[str] = Counter()
    for at, row in rows:
        try:
            name, entries = layout(row, at)
        except BadRow as fault:
            if bad_rows == "error":
                raise DataError(
                    f"{at}: {fault}; set bad_rows: drop to leave such rows out, or check that "
                    f"the file has this layout (the row has: {', '.join(row)})"
                ) from fault
            notice(f"unusable row: {fault.reason}", [str(at)], "dropped")
            continue
        seen[name] += 1
        if seen[name] > 1:
            notice("id was there before: numbered", [name], "changed")
            name = f"{name}#{seen[name]}"
        yield [_named(name, entry) for entry in entries]


def _named(name: str, entry: Entry) -> Entry:
    suffix = entry.pop("suffix", "")
    return {"case": name, **entry, "id": f"{name}/{suffix}" if suffix else name}


def _table(entries: Sequence[Entry], columns: Columns) -> pa.Table:
    arrays: dict[str, Any] = {"id": pa.array([e["id"] for e in entries], pa.string())}
    for name in columns.texts:
        role = "user" if name == "prompt" else "assistant"
        arrays[name] = _messages([entry[name] for entry in entries], role)
    for name, kind in columns.others.items():
        arrays[name] = pa.array([entry.get(name) for entry in entries], kind)
    return pa.table(arrays)


def _messages(values: Sequence[Text], role: str) -> pa.ChunkedArray:
    if all(isinstance(value, str) for value in values):
        return as_messages(pa.chunked_array([pa.array(values, pa.string())]), role)
    turns = [[{"role": role, "content": v}] if isinstance(v, str) else v for v in values]
    return pa.chunked_array([pa.array(turns, message_type())])
