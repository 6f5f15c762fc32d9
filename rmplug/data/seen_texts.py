"""Texts seen before, recorded as 8-byte hashes in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rmplug.errors import DataError, some

from .rows import Rows, Stream

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

IN_MEMORY = 1 << 16
"""Hashes that are kept in memory at a time: half a megabyte."""
HASHED = 2048
"""Texts that are copied at a time to be hashed: few enough to stay in the processor's cache."""


class SeenHashes:
    """The 8-byte hashes seen so far, in a few sorted arrays of growing size; large ones lie in
    temporary files, so that memory does not grow with the rows."""

    def __init__(self) -> None:
        self.levels: list[np.ndarray] = []

    def contains(self, hashes: np.ndarray) -> np.ndarray:
        """Return which of the hashes were added before."""
        import numpy as np

        mask = np.zeros(len(hashes), dtype=bool)
        for level in self.levels:
            positions = np.minimum(np.searchsorted(level, hashes), len(level) - 1)
            mask |= level[positions] == hashes
        return mask

    def add(self, hashes: np.ndarray) -> None:
        """Remember the hashes; arrays of like size are merged into one."""
        import numpy as np

        parts = [np.unique(hashes)]
        while self.levels and len(self.levels[-1]) <= 2 * sum(map(len, parts)):
            parts.append(self.levels.pop())
        if len(parts) > 1:
            parts = [_merged(parts)]
        if len(parts[0]):
            self.levels.append(parts[0])


def _merged(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Sort the numbers of all parts; more than ``IN_MEMORY`` go to a temporary file, which is
    removed when nothing holds the array."""
    import numpy as np

    if sum(map(len, parts)) <= IN_MEMORY:
        return np.sort(np.concatenate(parts))
    with tempfile.TemporaryFile() as file:
        for part in parts:
            file.write(part.data)
        file.flush()
        merged = np.memmap(file, dtype=np.uint64, mode="r+")
    merged.sort()
    return merged


def hash_texts(texts: pa.Array, *others: pa.Array) -> np.ndarray:
    """Return an 8-byte hash of each text, or of each row of several texts; a null is an empty text.
    The hashes are other ones in each process."""
    import numpy as np

    # Python's keyed hash of bytes: nothing is decoded, so that texts need not be valid UTF-8
    columns = [_as_bytes(column) for column in (texts, *others)]
    parts = [np.empty(0, np.int64)]
    for start in range(0, len(texts), HASHED):
        lists = [column.slice(start, HASHED).to_pylist() for column in columns]
        rows = zip(*lists, strict=True) if others else lists[0]
        parts.append(np.fromiter(map(hash, rows), np.int64))
    return np.concatenate(parts).view(np.uint64)


def _as_bytes(texts: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = texts if pa.types.is_string(texts.type) else texts.cast(pa.large_string())
    if filled.null_count:
        filled = pc.fill_null(filled, "")
    return filled.cast(pa.large_binary())


def combine_hashes(first: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return a hash of each row of hashes, which depends on their order."""
    import numpy as np

    for other in others:
        first = (first ^ (first >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + other
    return first


def seen_earlier(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of ``hashes`` whether ``others`` has it at an earlier position."""
    import numpy as np

    if not len(others):
        return np.zeros(len(hashes), dtype=bool)
    values, first = np.unique(others, return_index=True)
    positions = np.minimum(np.searchsorted(values, hashes), len(values) - 1)
    present: np.ndarray = values[positions] == hashes
    return present & (first[positions] < np.arange(len(hashes)))


class UniqueIds:
    """A check of the ids of a table, a batch at a time: each must be there, and only once.
    ``advice`` explains what to do about ids that occur again."""

    def __init__(self, advice: str) -> None:
        self.advice = advice
        self._seen = SeenHashes()

    def check(self, ids: pa.Array) -> None:
        """Raise ``DataError`` if an id is null, or was there before."""
        missing = int(ids.null_count)
        if missing:
            raise DataError(f"{missing} rows have no id; every row needs its own")
        hashes = hash_texts(ids)
        again = self._seen.contains(hashes) | seen_earlier(hashes, hashes)
        if again.any():
            names = ids.filter(again).to_pylist()
            raise DataError(
                f"ids must be unique, but {len(names)} occur again: {some(names)}; {self.advice}"
            )
        self._seen.add(hashes)


def with_unique_ids(rows: Rows) -> Stream:
    """Return the rows as a stream that raises ``DataError`` where an id is null or occurs again:
    tables join by id, and results are looked up by id. A table with a column ``item`` of texts
    holds several tables, one for each item (routes), and an id occurs once in each."""
    unique = UniqueIds("give each row an id of its own")

    def checked() -> Iterator[pa.Table]:
        for table in _tables(rows):
            for ids in _ids_of_items(table).chunks:
                unique.check(ids)
            yield table

    return Stream(checked())


def _tables(rows: Rows) -> Iterator[pa.Table]:
    """Yield all rows, at least one table."""
    import pyarrow as pa

    if isinstance(rows, Stream):
        yield from rows.tables()
        return
    yield rows.schema.empty_table()
    for batch in rows.batches():
        yield pa.Table.from_batches([batch])


def _ids_of_items(table: pa.Table) -> pa.ChunkedArray:
    """Return the ids, with their item where there is one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "item" not in table.column_names or not pa.types.is_string(table["item"].type):
        return table["id"]
    items = pc.fill_null(table["item"], "")
    return pc.binary_join_element_wise(table["id"], items, " in ")
