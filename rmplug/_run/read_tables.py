"""Small tables that were read, for the steps that read them again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rmplug.artifacts.tables import AnyTabular
from rmplug.data.rows import BATCH_ROWS, Memory, ParquetParts

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.artifacts import Tabular

MOST_STORED = 8 * 2**20
"""Bytes that the files of a table may have for it to be read whole at once."""
MOST_KEPT, MOST_TABLES = 32 * 2**20, 16
"""Bytes in memory and number of all tables that are kept."""


class ReadParts(Memory):
    """Rows that were read from Parquet files; to another process they go as the files."""

    def __init__(self, parts: ParquetParts, table: pa.Table) -> None:
        super().__init__(table)
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return _as_files, (self.parts,)


def _as_files(parts: ParquetParts) -> ParquetParts:
    return parts


class ReadTables:
    """The tables of artifacts that were read last, by the checksums of their files: what is made
    anew is read anew. Threads of an engine may share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, ...], pa.Table] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadTables, ()

    def read(self, artifact: AnyTabular, files: Mapping[str, Mapping[str, Any]]) -> AnyTabular:
        """The artifact with its rows in memory if it is small, as it is if not. ``files`` are the
        files of its manifest."""
        if not is_small(artifact, files):
            return artifact
        assert isinstance(artifact.rows, ParquetParts)
        key = tuple(entry["sha256"] for entry in files.values())
        with self._lock:
            table = self._tables.pop(key, None)
            table = self._tables[key] = artifact.table if table is None else table  # now the latest
            self._drop_oldest()
        return type(artifact)(ReadParts(artifact.rows, table), artifact.name)

    def _drop_oldest(self) -> None:
        while (
            len(self._tables) > MOST_TABLES
            or sum(table.nbytes for table in self._tables.values()) > MOST_KEPT
        ):
            del self._tables[next(iter(self._tables))]


def is_small(artifact: Tabular, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Check whether a stored table is no more than one batch, so that reading it whole takes no
    more memory than reading it a batch at a time."""
    stored = sum(entry["bytes"] for entry in files.values())
    return len(artifact) <= BATCH_ROWS and stored <= MOST_STORED
