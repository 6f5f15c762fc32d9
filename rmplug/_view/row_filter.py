"""The rows of a table for which an expression is true, as the kind ``filter`` reads expressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rmplug._kinds.registry import Registry
from rmplug.arrays import Array
from rmplug.artifacts import Identified, Tabular
from rmplug.data.rows import ParquetParts
from rmplug.errors import DataError, printable
from rmplug.families import Sampler
from rmplug.known import Known

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "filter"
ROW = "rmplug row number"
"""The column that says which row of the table a row is."""
LONGEST = 2000
"""Characters of an expression that is typed into a page."""


def matching_rows(table: Tabular, where: str, registry: Registry) -> Array:
    """Find the rows of a table for which an expression is true: their numbers, from 0, in order.

    The kind ``filter`` evaluates it with Arrow, part by part, on the columns that it names; nothing
    of it is run as code. Raises ``DataError`` with the position of a mistake."""
    import numpy as np

    from rmplug.notices import collect_notices

    sampler = _sampler(where, table.columns, registry)
    found = []
    with collect_notices():  # the page says how many rows match
        for part in _parts(table, _needed(where, table.columns)):
            kept = sampler.sample(Identified(part))
            found.append(kept.table[ROW].to_numpy())
    return np.concatenate([np.empty(0, np.int64), *found])


def _sampler(where: str, columns: Sequence[str], registry: Registry) -> Any:
    """Return the step ``filter`` with this expression, if it can be read and its columns exist."""
    from pydantic import ValidationError

    if len(where) > LONGEST:
        raise DataError(f"the expression has more than {LONGEST:,} characters; write it shorter")
    try:
        sampler = registry.find(KIND, Sampler).cls.model_validate({"where": where})
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise DataError(printable(message.removeprefix("Value error, "))) from None
    for _, message in sampler.mistakes({"data": [Known(columns=tuple(columns))]}):
        raise DataError(printable(message))
    return sampler


def _needed(where: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that an expression can name: those whose names stand in it, or all where
    a name may be written with a backslash."""
    return [name for name in columns if name in where or "\\" in where]


def _parts(table: Tabular, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield these columns of each file of a table, with the number of each row; it stands for the
    id where that is not asked for."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = table.rows
    assert isinstance(rows, ParquetParts)
    for file, start, stop in zip(rows.files, rows.starts, rows.starts[1:], strict=False):
        numbers = pa.array(np.arange(start, stop, dtype=np.int64))
        part = pa.table({ROW: numbers})
        if columns:
            with pq.ParquetFile(file, memory_map=True) as opened:
                read = opened.read(list(columns), use_threads=False)
            for name in columns:
                part = part.append_column(name, read[name])
        yield part if "id" in columns else part.append_column("id", numbers)
