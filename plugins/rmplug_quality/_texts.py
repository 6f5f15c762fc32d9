"""The texts of a row that are compared with those of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import text_of

from ._shingles import Grams, Unit, grams, sets_of

JOINED = {
    "row": (("prompt", "chosen", "rejected"), ("prompt", "response")),
    "prompt": (("prompt",), ("prompt",)),
    "responses": (("chosen", "rejected"), ("response",)),
}
"""The columns of pairs, and of responses, that each choice compares."""


def plain_text(batch: pa.RecordBatch, column: str) -> pa.Array:
    """Return the text of one column of each row, an empty one where it is missing."""
    return pc.fill_null(text_of(batch.column(column)), "")


def shingle_sets(batch: pa.RecordBatch, compare: str, size: int, unit: Unit) -> Grams:
    """Return the set of shingles of each row: those of all its texts that are compared, whatever
    their order."""
    columns = JOINED[compare]["chosen" not in batch.schema.names]
    return sets_together(
        [grams(plain_text(batch, name), size, unit) for name in columns], batch.num_rows
    )


def sets_together(parts: Sequence[Grams], rows: int) -> Grams:
    """Return the set of shingles of several texts of each row."""
    owners = np.concatenate([part.rows for part in parts])
    return sets_of(owners, np.concatenate([part.hashes for part in parts]), rows)
