"""Files of kept values: Parquet, written once, with the step results that their rows come from.

Columns: ``key`` (16 bytes, a digest of what a model saw), ``source`` (the number of a name in the
file's facts: the result of the step that computed the row), ``value`` (as many numbers in every
row). Every page has a checksum, and so have the facts. A file never changes: many small ones become
one, which is there before they go.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.arrays import Array

from .serialize import rechunked

if TYPE_CHECKING:
    import pyarrow as pa

KEY_BYTES = 16
FORMAT = 1
FACTS = b"rmplug.kept"
SUFFIX = ".parquet"
MERGED = "merged"
GROUP_BYTES = 4 * 2**20
"""Bytes of values that are read at once to get at one of them."""
FEWEST_ROWS, MOST_ROWS = 256, 65_536
"""Rows of a group at least and at most."""


class DamagedError(Exception):
    """A file of kept values that is not as it was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name}: {why}")
        self.path = path


@dataclass(frozen=True)
class Facts:
    """What a file says of itself: the sources of its rows, and shape and type of a row's value."""

    sources: tuple[str, ...]
    shape: tuple[int, ...]
    type: str
    format: int = FORMAT

    @property
    def width(self) -> int:
        """Numbers in each row."""
        width = 1
        for size in self.shape:
            width *= size
        return width

    @property
    def row_bytes(self) -> int:
        """Bytes of a row's key and value, which nothing makes smaller in a file."""
        return KEY_BYTES + self.itemsize * self.width

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return 4 if self.type == "float32" else 8

    def is_like(self, other: Facts) -> bool:
        """Check whether rows have values of the same shape and type."""
        return self.shape == other.shape and self.type == other.type

    def as_bytes(self) -> bytes:
        text = json.dumps(asdict(self))
        seal = hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()
        return f"{seal} {text}".encode()

    @classmethod
    def of_bytes(cls, written: bytes) -> Facts:
        """Read facts back. Raises ValueError where they are not as they were written."""
        content = json.loads(written.partition(b" ")[2])
        facts = cls(tuple(content.pop("sources")), tuple(content.pop("shape")), **content)
        if facts.as_bytes() != written or facts.format != FORMAT:
            raise ValueError("its facts are damaged, or of another version")
        if not all(isinstance(name, str) for name in facts.sources):
            raise ValueError("its sources have no names")
        if not all(type(size) is int and size > 0 for size in facts.shape):
            raise ValueError("its values have no shape")
        return facts


class KeptFile:
    """One file, open for reading: it can be read even after it is gone from its folder."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises FileNotFoundError where it is gone, DamagedError where it cannot be
        used."""
        import pyarrow.parquet as pq

        self.path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
            self.facts = Facts.of_bytes(self._file.schema_arrow.metadata[FACTS])
            if not self._file.schema_arrow.remove_metadata().equals(schema_of(self.facts)):
                raise ValueError("its columns are not those of kept values")
            self.starts = self._starts()
        except FileNotFoundError:
            raise
        except Exception as error:  # whatever odd bytes make a reader raise
            raise DamagedError(path, str(error)) from error

    def _starts(self) -> list[int]:
        """Return the number of the first row of each group, and of all rows."""
        about = self._file.metadata
        counts = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        if min(counts, default=0) < 0:
            raise ValueError("a group has fewer than no rows")
        if sum(counts) * self.facts.row_bytes > self.path.stat().st_size:
            raise ValueError("it has more rows than bytes")
        return [0, *accumulate(counts)]

    def __len__(self) -> int:
        return self.starts[-1]

    def keys(self) -> tuple[Array, Array]:
        """Read all keys, of shape (rows, 2) in whole numbers of 8 bytes, and the number of each
        row's source."""
        import numpy as np

        keys, sources = np.empty((len(self), 2), np.uint64), np.empty(len(self), np.int32)
        first = 0
        try:
            for batch in self._file.iter_batches(MOST_ROWS, columns=["key", "source"]):
                rows, packed = slice(first, first + len(batch)), batch.column("key")
                buffer = np.frombuffer(packed.buffers()[1], np.uint64).reshape(-1, 2)
                keys[rows] = buffer[packed.offset :][: len(batch)]
                sources[rows] = batch.column("source").to_numpy()
                self._check(batch, _within(sources[rows], self.facts))
                first += len(batch)
            if first != len(self):
                raise DamagedError(self.path, "it lacks rows")
        except DamagedError:
            raise
        except Exception as error:
            raise DamagedError(self.path, str(error)) from error
        return keys, sources

    def values(self, group: int) -> Array:
        """Read the values of one group of rows, of shape (rows, width)."""
        import numpy as np

        try:
            table = self._file.read_row_group(group, columns=["value"], use_threads=False)
            flat = [chunk.flatten().to_numpy() for chunk in table["value"].chunks]
            values = np.concatenate(flat).reshape(table.num_rows, self.facts.width)
            rows = self.starts[group + 1] - self.starts[group]
            self._check(table, len(values) == rows and bool(np.isfinite(values).all()))
        except DamagedError:
            raise
        except Exception as error:
            raise DamagedError(self.path, str(error)) from error
        return values

    def _check(self, table: pa.Table | pa.RecordBatch, sound: bool) -> None:
        if not sound or any(column.null_count for column in table.columns):
            raise DamagedError(self.path, "it has odd numbers")

    def close(self) -> None:
        self._file.close()


def _within(sources: Array, facts: Facts) -> bool:
    return not len(sources) or (sources.min() >= 0 and sources.max() < len(facts.sources))


def schema_of(facts: Facts) -> pa.Schema:
    """Return the columns of a file, without the facts."""
    import pyarrow as pa

    number = {"float32": pa.float32(), "float64": pa.float64()}[facts.type]
    return pa.schema(
        {
            "key": pa.binary(KEY_BYTES),
            "source": pa.int32(),
            "value": pa.list_(number, facts.width),
        }
    )


def rows_table(facts: Facts, keys: Array, sources: Array, values: Array) -> pa.Table:
    """Return rows as a table: keys (rows, 2), numbers of sources (rows,), values (rows, …)."""
    import numpy as np
    import pyarrow as pa

    packed = pa.py_buffer(np.ascontiguousarray(keys))
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(keys), [None, packed]),
        pa.array(sources.astype(np.int32)),
        pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), facts.width),
    ]
    return pa.Table.from_arrays(columns, schema=schema_of(facts))


def write_values(path: Path, facts: Facts, tables: Iterable[pa.Table]) -> None:
    """Write rows as a file that is whole or not there."""
    import pyarrow.parquet as pq

    # two workers may put the same files together, on machines that number processes alike
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    rows = min(MOST_ROWS, max(FEWEST_ROWS, GROUP_BYTES // (facts.itemsize * facts.width)))
    schema = schema_of(facts).with_metadata({FACTS: facts.as_bytes()})
    try:
        with pq.ParquetWriter(
            temporary,
            schema,
            compression="none",  # numbers do not get smaller
            use_dictionary=["source"],
            write_page_checksum=True,
            write_statistics=False,
        ) as writer:
            for table in rechunked(tables, rows):
                writer.write_table(table.replace_schema_metadata(schema.metadata), rows)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
