"""Row-wise work over shards: bounded memory, committed shard by shard, resumed after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug._store.serialize import part_name, read_part_facts, write_part
from rmplug.data.rows import Mapped
from rmplug.errors import PluginError, add_place
from rmplug.families import Engine
from rmplug.notices import Notice, collect_notices, merged
from rmplug.records import Usage

from .machine import measured

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ShardWork:
    """The computation that fills and commits one shard and returns its number of rows and what it
    used. It is sent to workers."""

    rows: Mapped
    folder: Path
    size: int
    total: int

    def __call__(self, shard: int) -> tuple[int, Usage]:
        usage = Usage()
        with measured(usage):
            rows = self._compute(shard)
        return rows, usage

    def _compute(self, shard: int) -> int:
        import pyarrow as pa

        start = shard * self.size
        stop = min(start + self.size, self.total)
        with collect_notices() as notices:
            try:
                table = self.rows.read(start, stop)
            except Exception as error:
                add_place(error, f"rows {start:,} to {stop - 1:,} (shard {shard})")
                raise
        write_part(table, self.folder / part_name(shard), notices.values())
        rows = int(table.num_rows)
        del table
        pa.default_memory_pool().release_unused()  # or its pieces add up over many shards
        return rows


@dataclass
class Shards:
    """The shards of one table in the making."""

    folder: Path
    size: int
    total: int
    schema: pa.Schema | None = None
    computed: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def numbers(self) -> range:
        return range(max(1, -(-self.total // self.size)))

    def rows(self, shard: int) -> int:
        return min(self.size, self.total - shard * self.size)

    def path(self, shard: int) -> Path:
        return self.folder / part_name(shard)

    def is_there(self, shard: int) -> bool:
        """Check whether a shard was committed; shards are renamed in, so what has the name is
        whole."""
        path = self.path(shard)
        if not path.is_file():
            return False
        try:
            rows, schema, _ = read_part_facts(path)
        except (OSError, ValueError):
            path.unlink()
            return False
        self.check(shard, rows, schema)
        return True

    def check(self, shard: int, rows: int, schema: pa.Schema) -> None:
        """Check that every shard has the expected number of rows and the columns of the first one
        seen."""
        if rows != self.rows(shard):
            raise PluginError(f"it gave {rows} rows for the {self.rows(shard)} of shard {shard}")
        if self.schema is None:
            self.schema = schema
        if schema.equals(self.schema):
            return
        names = dict.fromkeys((*self.schema.names, *schema.names))
        changed = [name for name in names if _type(schema, name) != _type(self.schema, name)]
        raise PluginError(
            "it gave different columns or types for different rows: "
            + "; ".join(
                f"{name!r} is {_type(self.schema, name)} and {_type(schema, name)}"
                for name in changed[:3] or ["their order"]
            )
            + "; row-wise work must give the same for every batch"
        )

    def notices(self) -> list[Notice]:
        """Return the notices of all shards, in their order."""
        return merged(
            notice for shard in self.numbers for notice in read_part_facts(self.path(shard))[2]
        )


def _type(schema: pa.Schema, name: str) -> str:
    return str(schema.field(name).type) if name in schema.names else "missing"


MODEL_SHARD_ROWS = 256
"""Rows of a shard at most where a model is opened: seconds of work, not minutes."""


def shard_rows(rows: Mapped, engine: Engine) -> int:
    """Return the number of rows of a shard."""
    return engine.shard_rows if rows.open is None else min(engine.shard_rows, MODEL_SHARD_ROWS)


def compute_shards(
    rows: Mapped, folder: Path, engine: Engine, progress: Callable[[int, int], None]
) -> Shards:
    """Fill ``folder`` with the shards of ``rows``; committed ones are kept.

    ``progress`` gets the rows done so far and the rows of all shards.
    """
    shards = Shards(folder, shard_rows(rows, engine), len(rows))
    missing = [shard for shard in shards.numbers if not shards.is_there(shard)]
    done = shards.total - sum(map(shards.rows, missing))
    progress(done, shards.total)
    work = ShardWork(rows, folder, shards.size, shards.total)
    for shard, (count, usage) in engine.map(work, missing):
        shards.check(shard, count, read_part_facts(shards.path(shard))[1])
        shards.computed += count
        shards.usage.include(usage)
        progress(done + shards.computed, shards.total)
    return shards
