"""The texts of a batch."""

from __future__ import annotations

import pyarrow as pa

from rmplug import text_of


def read_texts(batch: pa.RecordBatch, side: str) -> list[str]:
    """Read the prompts or the responses of one side as texts; a missing one is empty."""
    return [text or "" for text in text_of(batch.column(side)).to_pylist()]
