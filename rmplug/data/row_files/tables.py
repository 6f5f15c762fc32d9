"""Tables from rows of files: two passes, so that every batch has the same columns.

The first pass finds what is unusable and which types the columns have; the second gives the rows.
Memory holds one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from rmplug.data.files import DataFile, data_files
from rmplug.data.messages import as_messages, message_type, prompt_groups
from rmplug.data.raw_texts import BadRow, Text
from rmplug.notices import collect_notices

from .formats import note_dialects, read_rows
from .further_columns import FurtherColumns
from .plain_columns import read_plain_columns
from .row import Row, UnreadableRow
from .unusable_rows import Policy, UnusableRows, convert_rows

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2048
BATCH_CHARACTERS = 1 << 24

Result = TypeVar("Result")
Entry: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""One row to give: its id and texts by name, and its further columns."""
RowConverter: TypeAlias = Callable[[Row], Sequence[Entry]]
"""Makes the rows to give of a row of a file; raises ``BadRow`` when it cannot be used."""


@dataclass(frozen=True)
class RowFiles:
    """The files to read rows from, and the policy for rows that cannot be used."""

    paths: Sequence[Path]
    """Files and patterns such as ``data/*.jsonl``."""
    format: str = "auto"
    """``jsonl``, ``json``, ``csv``, ``tsv`` or ``parquet``; by its ending and content if
    ``auto``."""
    bad_rows: Policy = "error"
    """What happens to rows that cannot be used: ``error``, or ``drop`` and count them."""
    limit: int | None = None
    """Most usable rows that are read."""
    delimiter: str | None = None
    """What separates the fields of CSV and TSV; found where it is not given."""
    encoding: str | None = None
    """The encoding of CSV and TSV; UTF-8, or UTF-16 with its mark, where it is not given."""

    @cached_property
    def files(self) -> list[DataFile]:
        """List the files that the paths and patterns mean."""
        return data_files(self.paths)

    def read(self) -> Iterator[Row | UnreadableRow]:
        """Yield every row of every file, in order."""
        return read_rows(self.files, self.format, self.delimiter, self.encoding)

    def plain_columns(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """Yield a few columns, as ``read_plain_columns`` does."""
        return read_plain_columns(self.files, self.format, types)

    def convert(self, convert: Callable[[Row], Result], hint: str) -> Iterator[tuple[Row, Result]]:
        """Yield each usable row with its entry, as ``convert_rows`` does; note what was found of
        the form of the files."""
        note_dialects(self.files, self.format, self.delimiter, self.encoding)
        unusable = UnusableRows(self.bad_rows, hint, [file.name for file in self.files])
        return convert_rows(self.read(), convert, unusable, self.limit)


def read_tables(
    source: RowFiles,
    convert: RowConverter,
    texts: Sequence[str],
    hint: str,
    columns: FurtherColumns | None = None,
) -> Iterator[pa.Table]:
    """Yield batches of the entries that ``convert`` makes of the rows of files: ``id``, the columns
    named in ``texts`` as messages, and all further columns. At least one batch, all with one
    schema.

    ``convert`` is called twice for each row; what it notices counts once. ``hint`` says what to do
    where a column is missing from every row.
    """
    columns = columns or FurtherColumns(("group", "subset", "model"))
    for row, entries in source.convert(convert, hint):
        for _, further in entries:
            columns.learn(further, row.typed)
    batch: list[Entry] = []
    size = 0
    any_yielded = False
    for row, entries in islice(_usable(source, convert), source.limit):
        batch.extend((core, _folded(further, row, columns.whole)) for core, further in entries)
        size += row.size
        if len(batch) >= BATCH_ROWS or size > BATCH_CHARACTERS:
            yield table_of(batch, texts, columns)
            batch, size, any_yielded = [], 0, True
    if batch or not any_yielded:
        yield table_of(batch, texts, columns)


def _usable(source: RowFiles, convert: RowConverter) -> Iterator[tuple[Row, Sequence[Entry]]]:
    """Yield the usable rows once more; notices were collected in the first pass."""
    for row in source.read():
        try:
            with collect_notices():
                entries = convert(row) if isinstance(row, Row) else None
        except BadRow:
            continue
        if entries is not None and isinstance(row, Row):
            yield row, entries


def _folded(further: dict[str, Any], row: Row, whole: set[str]) -> dict[str, Any]:
    """Put mappings with too many keys back together."""
    if not whole:
        return further
    kept = {n: v for n, v in further.items() if n.partition(".")[0] not in whole}
    return kept | {name: row.value[name] for name in whole if name in row.value}


def table_of(entries: Sequence[Entry], texts: Sequence[str], columns: FurtherColumns) -> pa.Table:
    """Return one batch of entries as a table, rows without a group grouped by their prompt."""
    import pyarrow as pa

    arrays: dict[str, Any] = {"id": pa.array([core["id"] for core, _ in entries], pa.string())}
    for name in texts:
        arrays[name] = messages_of([core[name] for core, _ in entries], name)
    for name in columns.kinds:
        arrays[name] = columns.array(name, [further.get(name) for _, further in entries])
    table = pa.table(arrays)
    return with_groups(table) if "group" in table.column_names else table


def messages_of(values: Sequence[Text], name: str) -> pa.ChunkedArray:
    """Return texts as a column of messages: plain ones are the user's in a column called
    ``prompt``, the assistant's in any other."""
    import pyarrow as pa

    role = "user" if name == "prompt" else "assistant"
    if all(isinstance(value, str) for value in values):
        return as_messages(pa.chunked_array([pa.array(values, pa.string())]), role)
    turns = [[{"role": role, "content": v}] if isinstance(v, str) else v for v in values]
    return pa.chunked_array([pa.array(turns, message_type())])


def with_groups(table: pa.Table) -> pa.Table:
    """Give rows without a group the hash of their prompt, as data without groups have; ``group``
    becomes the second column."""
    import pyarrow.compute as pc

    groups = table["group"].combine_chunks()
    if groups.null_count:
        groups = pc.coalesce(groups, prompt_groups(table["prompt"]))
    return table.set_column(table.schema.get_field_index("group"), "group", groups).select(
        ["id", "group", *(name for name in table.column_names if name not in ("id", "group"))]
    )
