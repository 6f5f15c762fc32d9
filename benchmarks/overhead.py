"""What the engine adds to each shard, beside a plain loop that calls the same function.

The function adds two columns of numbers to 500,000 pairs in shards of 8,192 rows; the loop reads
the same files and keeps nothing, the engine also writes, checks and commits every shard.

Run: ``python benchmarks/overhead.py``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Features, Pairs, text_of
from rmplug._run.local_engine import Local
from rmplug._run.shards import compute_shards, cut_shards
from rmplug._store.serialize import part_name, write_part
from rmplug.data.rows import Mapped, ParquetParts

ROWS, SHARD = 500_000, 8_192


def lengths(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """Characters of both responses."""
    return {
        name: np.asarray(pc.utf8_length(text_of(batch.column(name))))
        for name in ("chosen", "rejected")
    }


def stored_pairs(folder: Path) -> ParquetParts:
    files, counts = [], []
    for index, start in enumerate(range(0, ROWS, SHARD)):
        numbers = np.arange(start, min(start + SHARD, ROWS))
        texts = pc.cast(pa.array(numbers), pa.string())
        columns = dict.fromkeys(("id", "prompt", "chosen", "rejected"), texts)
        files.append(folder / part_name(index))
        counts.append(len(numbers))
        write_part(Pairs(columns).table, files[-1])
    return ParquetParts(files, counts)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = stored_pairs(Path(folder))
        made = Path(folder) / "made"
        made.mkdir()
        started = time.perf_counter()
        for start in range(0, ROWS, SHARD):
            batch = source.read(start, min(start + SHARD, ROWS)).combine_chunks().to_batches()[0]
            lengths(batch)
        plain = time.perf_counter() - started
        rows = Features(Mapped(source, lengths)).rows
        assert isinstance(rows, Mapped)
        started = time.perf_counter()
        local = Local(workers=1)
        cut = cut_shards(rows, local)
        compute_shards(rows, cut, made, local, lambda done, total: None)
        engine = time.perf_counter() - started
    count = len(cut.shards)
    print(
        f"{ROWS:,} rows in {count} shards: plain loop {1000 * plain / count:.1f} ms a shard, ",
        end="",
    )
    print(
        f"engine {1000 * engine / count:.1f} ms; it adds {1000 * (engine - plain) / count:.1f} ms"
    )


if __name__ == "__main__":
    main()
