"""Files to rows, and rows to tables: one reader for JSON Lines, JSON, CSV, TSV and Parquet, gzip or
not. Public, for authors of loaders.

A row that cannot be read or used is counted by its file and line, and refused or left out, as the
policy says; halves of surrogate pairs are replaced; no file is held in memory (but an object of
columns, and Parquet in gzip)::

    source = RowFiles(self.path, self.format, self.bad_rows)
    for row, score in source.convert(lambda row: number(need(row.value, "score"), "score"), hint):
        ...

``read_tables`` goes over the files twice to give batches with the same columns throughout.
"""

from __future__ import annotations

from rmplug.data.files import DataFile, data_files

from .delimited import unnamed_column
from .fields import flatten, identifier, need, number
from .formats import read_rows
from .further_columns import FurtherColumns
from .json_rows import json_object
from .plain_columns import NotPlain
from .row import Row, UnreadableRow
from .tables import (
    BATCH_ROWS,
    Entry,
    RowConverter,
    RowFiles,
    messages_of,
    read_tables,
    table_of,
    with_groups,
)
from .unusable_rows import Policy, UnusableRows, convert_rows

__all__ = [
    "BATCH_ROWS",
    "DataFile",
    "Entry",
    "FurtherColumns",
    "NotPlain",
    "Policy",
    "Row",
    "RowConverter",
    "RowFiles",
    "UnreadableRow",
    "UnusableRows",
    "convert_rows",
    "data_files",
    "flatten",
    "identifier",
    "json_object",
    "messages_of",
    "need",
    "number",
    "read_rows",
    "read_tables",
    "table_of",
    "unnamed_column",
    "with_groups",
]
