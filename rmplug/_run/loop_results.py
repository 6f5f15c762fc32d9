"""The results of a loop: what its items gave, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rmplug._kinds.loops import ITEM
from rmplug._spec.graph import Node
from rmplug._store.fingerprint import key_of
from rmplug.artifacts import Artifact, Identified, Tabular
from rmplug.data.rows import BATCH_ROWS, Memory, Stream
from rmplug.errors import DataError
from rmplug.known import Ref

from .lineage import trainings_of_parts
from .results import Results
from .scope import Handle

if TYPE_CHECKING:
    import pyarrow as pa

Part = tuple[str, Handle]

MOST_KEPT = 64 * 2**20
"""Bytes of small tables that are kept in memory while they are put together; the last one may
take more."""


def loop_handle(node: Node, results: Mapping[str, Handle]) -> Handle:
    """A handle of all results of a loop: what its id stands for."""
    key = key_of(node.provider.kind, {name: handle.name for name, handle in results.items()})
    type = next(iter(results.values())).type if len(results) == 1 else Artifact
    return Handle(key, type, results=results)


def collected_key(name: str, column: str, parts: Sequence[Part]) -> str:
    listed = [[item, handle.name] for item, handle in parts]
    return key_of("collected", {"name": name, "column": column, "parts": listed})


def errors_key(failed: Sequence[tuple[str, str]]) -> str:
    return key_of("errors", {"failed": [list(entry) for entry in failed]})


def collect(results: Results, name: str, column: str, parts: Sequence[Part]) -> Handle:
    """The tables of all items under each other, with a column that says which item."""
    key, type = collected_key(name, column, parts), parts[0][1].type
    trainings = trainings_of_parts(parts)
    if results.has(key):
        results.store.touch(key)
        return Handle(key, type, trainings=trainings)
    tables = [(item, results.load(handle, Ref(name), read=False)) for item, handle in parts]
    listed = [(item, table) for item, table in tables if isinstance(table, Tabular)]
    rows = Stream(_under_each_other(_read_once(listed), column))
    return results.keep(key, type, "collected", rows, trainings)


def make_errors_table(results: Results, failed: Sequence[tuple[str, str]]) -> Handle:
    """The items that failed, and why."""
    import pyarrow as pa

    columns = {ITEM: [item for item, _ in failed], "error": [error for _, error in failed]}
    table = pa.table(columns, schema=pa.schema([(ITEM, pa.string()), ("error", pa.string())]))
    return results.keep(errors_key(failed), Tabular, "errors", table)


def _read_once(tables: Sequence[tuple[str, Tabular]]) -> list[tuple[str, Tabular]]:
    """The tables with the rows of small ones in memory, as their columns, ids and rows are needed
    one after another; from the one on with which they are more than ``MOST_KEPT`` bytes, as they
    are."""
    read: list[tuple[str, Tabular]] = []
    size = 0
    for item, table in tables:
        if size <= MOST_KEPT and len(table) <= BATCH_ROWS:
            size += table.table.nbytes
            table = type(table)(Memory(table.table), table.name)
        read.append((item, table))
    return read


def _under_each_other(tables: Sequence[tuple[str, Tabular]], column: str) -> Iterator[pa.Table]:
    """A batch at a time, all with the columns of any; the first one has no rows."""
    import pyarrow as pa

    schemas = [table.rows.schema for _, table in tables]
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the tables of the items do not fit together: {error}") from error
    while column in schema.names:
        column = f"outer_{column}"
    empty = schema.append(pa.field(column, pa.string())).empty_table()
    yield empty
    prefix = _share_ids([table for _, table in tables if isinstance(table, Identified)])
    for item, table in tables:
        for batch in table.batches():
            rows = _labelled(pa.Table.from_batches([batch]), column, item, prefix)
            yield pa.concat_tables([empty, rows], promote_options="permissive")


def _labelled(rows: pa.Table, column: str, item: str, prefix: bool) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if prefix:
        ids = pc.binary_join_element_wise(pa.scalar(item), rows["id"], "/")
        rows = rows.set_column(rows.schema.get_field_index("id"), "id", ids)
    return rows.append_column(column, pa.repeat(pa.scalar(item), rows.num_rows))


def _share_ids(tables: Sequence[Identified]) -> bool:
    """Check whether any two of the tables have an id in common."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(tables) < 2:
        return False
    columns = [batch.column("id") for table in tables for batch in table.batches()]
    ids = pa.chunked_array(columns, type=pa.string())
    return bool(pc.count_distinct(ids).as_py() < len(ids))
