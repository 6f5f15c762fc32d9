"""Artifacts as files and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rmplug import artifacts
from rmplug.artifacts import (
    Artifact,
    Checkpoint,
    Features,
    Fit,
    Folder,
    Metrics,
    Opens,
    Pairs,
    Report,
    Responses,
    Selection,
    Tabular,
)
from rmplug.checks import Check
from rmplug.data.rows import NO_BATCH, ParquetParts, Stream
from rmplug.errors import DataError, StoreError
from rmplug.notices import Notice

from .files import to_json, write_file

if TYPE_CHECKING:
    import pyarrow as pa

FILES = "files"
NUMBERS = "numbers.json"
NOTICES = b"rmplug.notices"
CHECKS = b"rmplug.checks"
TABLES: dict[str, type[Tabular]] = {
    cls.__name__: cls for cls in (Pairs, Responses, Features, Selection, Metrics, Tabular)
}


def part_name(index: int) -> str:
    return f"part-{index:05d}.parquet"


def write_part(
    table: pa.Table,
    path: Path,
    notices: Iterable[Notice] = (),
    flush: bool = True,
    checks: Iterable[Check] = (),
) -> None:
    """Write one shard as a Parquet file, with what was noticed and checked in it; whole or not
    there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = json.dumps([asdict(notice) for notice in notices])
    checked = json.dumps([asdict(check) for check in checks])
    table = table.replace_schema_metadata({NOTICES: listed, CHECKS: checked})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", row_group_size=max(1, table.num_rows))
    write_file(path, memoryview(buffer.getvalue()), flush)


def read_part_facts(path: Path) -> tuple[int, pa.Schema, list[Notice]]:
    """Rows and columns of a shard, and what was noticed in it; one that is broken raises."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    found = json.loads((schema.metadata or {}).get(NOTICES, b"[]"))
    return metadata.num_rows, schema.remove_metadata(), [Notice(**entry) for entry in found]


def read_part_checks(path: Path) -> list[Check]:
    """Return what was checked in a shard."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return [Check(**entry) for entry in json.loads(metadata.get(CHECKS, b"[]"))]


def rechunked(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of ``rows`` rows, the last one shorter; at least one table."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    count = 0
    given = False
    for table in tables:
        if not (count or given):
            waiting = []
        waiting.append(_like(table, waiting[0].schema) if waiting else table)
        count += table.num_rows
        if count >= rows:
            whole = pa.concat_tables(waiting)
            for start in range(0, count - count % rows, rows):
                yield whole.slice(start, rows)
            given = True
            waiting, count = [whole.slice(count - count % rows)], count % rows
    if not waiting:
        raise DataError(NO_BATCH)
    if count or not given:
        yield pa.concat_tables(waiting)


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if table.schema.equals(schema):
        return table
    if set(table.column_names) != set(schema.names):
        raise DataError(
            f"batches of one table have different columns: {', '.join(schema.names)} and "
            f"{', '.join(table.column_names)}"
        )
    table = table.select(schema.names)
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        old = next(f for f in schema if not f.equals(table.schema.field(f.name)))
        raise DataError(
            f"batches of one table have different types: column {old.name!r} is {old.type} in the "
            f"first and {table.schema.field(old.name).type} in a later one"
        ) from error


def write_table(artifact: Tabular, folder: Path, rows: int) -> Iterator[int]:
    """Write a table that is not row-wise work, part by part; yields the rows of each part."""
    source = artifact.rows
    batches: Iterable[Any] = (
        source.tables() if isinstance(source, Stream) else _slices(artifact, rows)
    )
    for index, table in enumerate(rechunked(batches, rows)):
        write_part(table, folder / part_name(index), flush=False)  # the commit does, if need be
        yield table.num_rows


def _slices(artifact: Tabular, rows: int) -> Iterator[pa.Table]:
    yield artifact.rows.read(0, min(rows, len(artifact)))
    for start in range(rows, len(artifact), rows):
        yield artifact.rows.read(start, min(start + rows, len(artifact)))


def write_folder(artifact: Folder, folder: Path) -> dict[str, Any]:
    """Return what an artifact in files says of itself; its own files are in ``files`` already."""
    import pyarrow.parquet as pq

    extra: dict[str, Any] = {}
    if isinstance(artifact, Fit | Checkpoint):
        write_file(folder / NUMBERS, to_json(artifact.numbers))
    if isinstance(artifact, Fit):
        (folder / "tables").mkdir(exist_ok=True)
        for name, table in artifact.tables.items():
            pq.write_table(table, folder / "tables" / f"{name}.parquet", compression="zstd")
        extra["tables"] = sorted(artifact.tables)
    if isinstance(artifact, Report):
        extra["entry"] = artifact.entry
    return extra


def read_artifact(
    folder: Path, manifest: Mapping[str, Any], name: str, made_by: type[Opens] | None
) -> Artifact:
    """A complete artifact as an object; tables are read when they are used."""
    kind = manifest["type"]
    if kind in TABLES:
        files = [folder / part_name(index) for index in range(len(manifest["parts"]))]
        return TABLES[kind](ParquetParts(files, manifest["parts"]), name)
    if kind == "Report":
        return Report(folder / FILES, _inside(folder, manifest["entry"]), name)
    cls = getattr(artifacts, kind, None)
    if cls not in (Fit, Checkpoint) or made_by is None:
        raise StoreError(f"{folder} holds a {kind}, which this version does not know")
    numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    if cls is Checkpoint:
        return Checkpoint(folder / FILES, made_by, numbers, name)
    import pyarrow.parquet as pq

    tables = {
        table: pq.read_table(folder / "tables" / f"{table}.parquet", use_threads=False)
        for table in manifest["tables"]
    }
    return Fit(folder / FILES, made_by, numbers, tables, name)


def _inside(folder: Path, entry: Any) -> str:
    """Return the name of a report's page. Raises StoreError for one that is not among its files."""
    parts = PurePath(entry).parts if isinstance(entry, str) else ()
    if not parts or PurePath(*parts).is_absolute() or ".." in parts:
        raise StoreError(f"{folder} names the page {entry!r:.80}, which is not in it")
    return str(entry)
