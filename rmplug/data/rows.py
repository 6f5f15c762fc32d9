"""Rows of a table: in memory, in Parquet parts, or in a function not yet applied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rmplug.errors import DataError, some
from rmplug.notices import Found, collect_notices, tell_again

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    ColumnsLike: TypeAlias = pa.Table | pa.RecordBatch | Mapping[str, "np.ndarray | Sequence[Any]"]

KEYS = ("id", "group")
BATCH_ROWS = 8192
NO_BATCH = "a stream of rows gave no batch; give one without rows at least"


class Rows(ABC):
    """Rows that can be read a range at a time."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, stop: int) -> pa.Table:
        """Return the rows ``start`` (included) to ``stop`` (excluded), in order."""

    def stored(self, name: str) -> pa.ChunkedArray | None:
        """Return a whole column, where it can be read without the others; None, as here, where
        not."""
        return None

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """Yield a column in order, some thousand rows at a time."""
        return (batch.column(name) for batch in self.batches())

    def batches(self, size: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield all rows as record batches of ``size`` rows, the last one shorter."""
        for start in range(0, len(self), size):
            yield one_batch(self.read(start, min(start + size, len(self))))


class Memory(Rows):
    """Rows of an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def read(self, start: int, stop: int) -> pa.Table:
        return self.table.slice(start, stop - start)


class ParquetParts(Rows):
    """Rows of Parquet files, in order; only the files that a range touches are opened."""

    def __init__(self, files: Sequence[Path], counts: Sequence[int]) -> None:
        self.files = tuple(files)
        self.starts = (0, *accumulate(counts))

    @property
    def schema(self) -> pa.Schema:
        import pyarrow.parquet as pq

        return pq.read_schema(self.files[0]).remove_metadata()

    def __len__(self) -> int:
        return self.starts[-1]

    def read(self, start: int, stop: int) -> pa.Table:
        import pyarrow as pa

        pieces = [self.schema.empty_table()] if start >= stop else list(self._pieces(start, stop))
        return pa.concat_tables(pieces)

    def stored(self, name: str) -> pa.ChunkedArray | None:
        import pyarrow as pa

        kind = self.schema.field(name).type
        return pa.chunked_array(list(self.chunks(name)), kind)

    def chunks(self, name: str) -> Iterator[pa.Array]:
        import pyarrow.parquet as pq

        for file in self.files:
            yield from pq.read_table(file, columns=[name], use_threads=False)[name].chunks

    def _pieces(self, start: int, stop: int) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        part = bisect_right(self.starts, start) - 1
        while part < len(self.files) and self.starts[part] < stop:
            with pq.ParquetFile(self.files[part], memory_map=True) as file:
                table = file.read(use_threads=False)  # half the time of read_table for few rows
            offset = max(start - self.starts[part], 0)
            yield table.replace_schema_metadata(None).slice(
                offset, min(stop, self.starts[part + 1]) - self.starts[part] - offset
            )
            part += 1


class Stream(Rows):
    """Batches that are made as they are asked for, once; reading a range first gathers them all."""

    def __init__(self, batches: Iterable[pa.Table]) -> None:
        self._batches = iter(batches)
        self._gathered: Memory | None = None

    @property
    def schema(self) -> pa.Schema:
        return self._gather().schema

    def __len__(self) -> int:
        return len(self._gather())

    def read(self, start: int, stop: int) -> pa.Table:
        return self._gather().read(start, stop)

    def tables(self) -> Iterator[pa.Table]:
        """Return the batches themselves, each as it comes."""
        return self._batches if self._gathered is None else iter([self._gathered.table])

    def _gather(self) -> Memory:
        import pyarrow as pa

        if self._gathered is None:
            tables = list(self._batches)
            if not tables:
                raise DataError(NO_BATCH)
            self._gathered = Memory(pa.concat_tables(tables))
        return self._gathered


class Mapped(Rows):
    """Row-wise work declared but not yet done: ``function`` applied to batches of ``source``.

    The function gets a record batch and gives columns of the same number of rows; ``open``, when
    given, is called once per process and its result is passed first. ``id`` and ``group`` are
    carried over by the core, so that order and identity cannot be lost. ``wide`` says that a row's
    result is large, so that few rows are computed at once.
    """

    def __init__(
        self,
        source: Rows,
        function: Callable[..., ColumnsLike],
        open: Callable[[], Any] | None = None,
        wide: bool = False,
    ) -> None:
        self.source = source
        self.function = function
        self.open = open
        self.wide = wide
        self._opened: Any = None
        self._noticed: Found = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_noticed": {}}

    @property
    def schema(self) -> pa.Schema:
        return self.read(0, min(1, len(self))).schema

    def __len__(self) -> int:
        return len(self.source)

    def read(self, start: int, stop: int) -> pa.Table:
        batch = one_batch(self.source.read(start, stop))
        if self.open is None:
            return with_keys(batch, self.function(batch))
        if self._opened is None:
            self.begin()
        return with_keys(batch, self.function(self._opened, batch))

    def begin(self) -> None:
        """Open what the function needs, unless it is open, and tell what was noticed then."""
        if self.open is not None and self._opened is None:
            with collect_notices() as self._noticed:
                self._opened = self.open()
        tell_again(self._noticed)

    @property
    def is_elsewhere(self) -> bool:
        """Check whether what is open is a model that another machine runs."""
        return bool(getattr(self._opened, "elsewhere", False))

    def release(self) -> None:
        """Let go of what is open; the next read opens it again."""
        self._opened = None


class Joined(Rows):
    """Tables with the same ids side by side; columns are named ``<step>.<column>``."""

    def __init__(self, tables: Mapping[str, Rows]) -> None:
        self.tables = dict(tables)
        self.first = next(iter(self.tables.values()))
        self._aligned: dict[str, Rows] = {}

    @property
    def schema(self) -> pa.Schema:
        return self.read(0, min(1, len(self))).schema

    def __len__(self) -> int:
        return len(self.first)

    def read(self, start: int, stop: int) -> pa.Table:
        joined = self.first.read(start, stop)
        keys = [name for name in joined.column_names if name in KEYS]
        result = joined.select(keys)
        for name, rows in self.tables.items():
            table = self._read_aligned(name, rows, start, stop, joined["id"])
            for column in feature_names(table.schema):
                result = result.append_column(f"{name}.{column}", table[column])
        return result

    def _read_aligned(self, name: str, rows: Rows, start: int, stop: int, ids: Any) -> pa.Table:
        rows = self._aligned.get(name, rows)
        if len(rows) == len(self):
            table = rows.read(start, stop)
            if table["id"].equals(ids):
                return table
        self._aligned[name] = Memory(reorder(rows, self._all_ids(), name))
        return self._aligned[name].read(start, stop)

    def _all_ids(self) -> pa.ChunkedArray:
        return self.first.read(0, len(self.first))["id"]


def feature_names(schema: pa.Schema) -> list[str]:
    """Return the columns that are features: all but ``id``, ``group``, the text that says which
    item of a loop a row is from, and lists of numbers or texts of each row's own length. Messages
    of data stay: steps join data with features of it."""
    import pyarrow as pa

    others = (pa.types.is_string, _is_list)
    return [f.name for f in schema if f.name not in KEYS and not any(is_(f.type) for is_ in others)]


def reorder(rows: Rows, ids: pa.ChunkedArray, name: str) -> pa.Table:
    """Return the rows of ``rows`` in the order of ``ids``; every id must be there."""
    import pyarrow.compute as pc

    table = rows.read(0, len(rows))
    places = pc.index_in(ids, value_set=table["id"])
    if places.null_count:
        missing = ids.filter(pc.is_null(places)).to_pylist()
        raise DataError(
            f"{name} has no row for {len(missing)} of {len(ids)} ids ({some(missing)}); "
            "join tables that come from the same data, or filter the data first"
        )
    return table.take(places)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the table as one record batch (columns joined into one chunk each)."""
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    arrays = [
        pa.array([], type=field.type) if not table.num_rows else pa.concat_arrays(column.chunks)
        for field, column in zip(table.schema, table.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def with_keys(batch: pa.RecordBatch, columns: ColumnsLike) -> pa.Table:
    """Return ``id`` and ``group`` of the batch in front of the numeric columns that were
    computed."""
    table = feature_table(columns)
    if len(table.column_names) and table.num_rows != batch.num_rows:
        raise DataError(f"a row-wise function gave {table.num_rows} rows for {batch.num_rows}")
    names = [name for name in batch.schema.names if name in KEYS]
    for position, name in enumerate(names):
        table = table.add_column(position, name, batch.column(name))
    return table


def feature_table(columns: ColumnsLike) -> pa.Table:
    """Return columns as a table of float64 scalars (float32 and booleans are kept), vectors, and
    lists of each row's own length, keys left out."""
    import pyarrow as pa

    named = (
        {name: columns.column(name) for name in columns.schema.names}
        if isinstance(columns, pa.Table | pa.RecordBatch)
        else columns
    )
    arrays = {
        name: numeric_array(name, values) for name, values in named.items() if name not in KEYS
    }
    return pa.table(arrays)


def as_column(values: Any) -> Any:
    """Return a matrix as a column of fixed-size vectors; anything else as it is."""
    import numpy as np
    import pyarrow as pa

    if not (isinstance(values, np.ndarray) and values.ndim == 2):
        return values
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def numeric_array(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """Return one column of numbers, vectors, or lists of numbers or texts, one for each token of a
    row, say; anything else is refused by name."""
    import pyarrow as pa

    values = as_column(values)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    kind = array.type
    kept = (pa.types.is_fixed_size_list, pa.types.is_float32, pa.types.is_boolean, _is_list)
    if any(is_kept(kind) for is_kept in kept):
        return array
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (numeric or pa.types.is_null(kind)):
        raise DataError(f"feature column {name!r} is {kind}; features are numbers or vectors")
    return array.cast(pa.float64(), safe=False)


def _is_list(kind: Any) -> bool:
    """Check for lists of each row's own length, of numbers or texts."""
    import pyarrow as pa

    inner = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
    return pa.types.is_list(kind) and any(is_(kind.value_type) for is_ in inner)
