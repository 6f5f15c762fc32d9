"""Row-wise work over shards: bounded memory, committed shard by shard, resumed after a kill.

Consecutive shards form groups. A group is computed in one call, so that a model sees texts of like
length together; which shards it has follows from the number of rows alone, and a group of which
some shards are missing is computed as a whole: its bytes are the same whoever does it, and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug._store.kept import ABOUT, KeptView
from rmplug._store.serialize import part_name, read_part_checks, read_part_facts, write_part
from rmplug._store.store import KEPT, Store
from rmplug.checks import Check, collect_checks, merged_checks
from rmplug.data.rows import Mapped
from rmplug.errors import PluginError, add_place
from rmplug.families import Engine
from rmplug.notices import Notice, collect_notices, merged
from rmplug.records import Usage

from .machine import measured

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ShardCut:
    """The division of ``total`` rows into shards of ``size`` rows, and of shards into groups of
    ``together``."""

    total: int
    size: int
    together: int

    @property
    def shards(self) -> range:
        """The numbers of all shards; a table without rows has one."""
        return range(max(1, -(-self.total // self.size)))

    @property
    def groups(self) -> range:
        """The numbers of all groups."""
        return range(-(-len(self.shards) // self.together))

    def shards_of(self, group: int) -> range:
        """Return the numbers of the shards of a group."""
        return self.shards[group * self.together : (group + 1) * self.together]

    def rows(self, shard: int) -> int:
        """Return the number of rows of a shard."""
        return min(self.size, self.total - shard * self.size)


@dataclass(frozen=True)
class GroupWork:
    """The computation that fills and commits the shards of one group and returns their numbers of
    rows and what it used. It is sent to workers."""

    rows: Mapped
    folder: Path
    cut: ShardCut
    kept: KeptView | None = None
    """What the work sees of the values that models gave before."""
    store: Store | None = None
    """The store through which other machines see the shards, if it is not a folder alone."""

    def __call__(self, group: int) -> tuple[list[int], Usage]:
        usage = Usage()
        with measured(usage):
            counts = self._compute(self.cut.shards_of(group), usage)
        if self.store is not None:
            self.store.share(self.folder.name, asdict(self.cut), self._written(group))
        return counts, usage

    def _written(self, group: int) -> list[str]:
        """Return the names of the files of a group: what models gave goes before its shards."""
        shards = self.cut.shards_of(group)
        given = [*self.folder.glob(f"{KEPT}/*/{_kept_name(shards)}.parquet")]
        abouts = {path.with_name(ABOUT) for path in given}
        values = [path.relative_to(self.folder).as_posix() for path in sorted({*given, *abouts})]
        return values + [part_name(shard) for shard in shards]

    def _compute(self, shards: range, usage: Usage) -> list[int]:
        import pyarrow as pa

        size = self.cut.size
        start, stop = shards[0] * size, min((shards[-1] + 1) * size, self.cut.total)
        using = nullcontext() if self.kept is None else self.kept.in_use(usage)
        with collect_notices() as notices, collect_checks() as checks, using as keeping:
            try:
                with collect_notices() as opening:
                    self.rows.begin()
                table = self.rows.read(start, stop)
            except Exception as error:
                named = f"shard {shards[0]}" + (f" to {shards[-1]}" if len(shards) > 1 else "")
                add_place(error, f"rows {start:,} to {stop - 1:,} ({named})")
                raise
        if keeping is not None:  # before the shards: a group that is there has given all it can
            keeping.write(self.folder / KEPT, _kept_name(shards))
        # a process opens once: which of the other groups it begins with is chance
        told = merged([*(opening.values() if shards[0] == 0 else ()), *notices.values()])
        counts = []
        for shard in shards:
            last = shard == shards[-1]  # it takes what is left, too much of it included
            part = table.slice((shard - shards[0]) * size, None if last else size)
            # which rows of a group a notice is of is not known: the first shard has all
            first = shard == shards[0]
            found, checked = (told, checks.values()) if first else ((), ())
            write_part(part, self.folder / part_name(shard), found, checks=checked)
            counts.append(int(part.num_rows))
        del table, part
        pa.default_memory_pool().release_unused()  # or its pieces add up over many shards
        return counts

    def expect(self, groups: Sequence[int]) -> tuple[float, float]:
        """Estimate the seconds that opening, and then the groups, take in this process, by a few
        rows of the first that are computed and thrown away; none of a model that another machine
        runs, for which processes here are no help. Rows that fail are left to the work."""
        at = self.cut.shards_of(groups[0])[0] * self.cut.size
        rows = sum(self.cut.rows(shard) for n in groups for shard in self.cut.shards_of(n))
        using = nullcontext() if self.kept is None else self.kept.in_use(Usage())
        started = time.monotonic()
        try:
            with collect_notices(), collect_checks(), using:
                self.rows.begin()
                if self.rows.is_elsewhere:
                    return 0.0, 0.0
                self.rows.read(at, at + 1)  # what the first row alone waits for is opening, too
                opening = time.monotonic() - started
                return opening, rows * self._time_of_a_row(at + 1)
        except Exception:
            return 0.0, 0.0

    def _time_of_a_row(self, at: int) -> float:
        """Return the seconds that a row takes, by a few from ``at`` on; by more where they are
        quick."""
        each = 0.0
        for count in TRIED:
            started, stop = time.monotonic(), min(at + count, self.cut.total)
            self.rows.read(at, stop)
            took = time.monotonic() - started
            each, at = took / max(1, stop - at), stop
            if took >= ENOUGH or at == self.cut.total:
                break
        return each

    def release(self) -> None:
        """Let go of what is open in this process: others do the work."""
        self.rows.release()


def _kept_name(shards: range) -> str:
    return f"{shards[0]:05d}"


@dataclass
class Shards:
    """The shards of one table in the making."""

    folder: Path
    cut: ShardCut
    schema: pa.Schema | None = None
    computed: int = 0
    usage: Usage = field(default_factory=Usage)

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
        expected = self.cut.rows(shard)
        if rows != expected:
            raise PluginError(f"it gave {rows} rows for the {expected} of shard {shard}")
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
            notice for shard in self.cut.shards for notice in read_part_facts(self.path(shard))[2]
        )

    def checks(self) -> list[Check]:
        """Return the checks of all shards."""
        return merged_checks(
            check for shard in self.cut.shards for check in read_part_checks(self.path(shard))
        )


def _type(schema: pa.Schema, name: str) -> str:
    return str(schema.field(name).type) if name in schema.names else "missing"


TRIED, ENOUGH = (4, 12), 0.15
"""Rows by which the time of all is estimated, a few and then some more; no more of them where the
first took that many seconds."""
MODEL_SHARD_ROWS = 256
"""Rows of a shard at most where a model is opened: seconds of work, not minutes."""
MOST_TOGETHER = 8
"""Shards of a group at most; of 256 pairs, a group of 8 has a quarter of the padding of one."""
LEAST_GROUPS = 8
"""Groups at least, as far as there are shards: for the workers, and for progress and kills."""
MOST_SHARDS = 16_384
"""Shards of a table at most, as far as memory allows: each is a file, an entry of a manifest, and a
path that is sent to every worker that reads the table."""


def cut_shards(rows: Mapped, engine: Engine) -> ShardCut:
    """Divide row-wise work into shards and groups, for any number of workers alike."""
    total = len(rows)
    least = -(-total // MOST_SHARDS)
    if rows.open is None:
        return ShardCut(total, max(engine.shard_rows, least), 1)
    size = min(engine.shard_rows, MODEL_SHARD_ROWS)
    if rows.wide:
        return ShardCut(total, size, 1)
    cut = ShardCut(total, max(size, least), 1)
    together = min(MOST_TOGETHER * MODEL_SHARD_ROWS // cut.size, MOST_TOGETHER)
    return replace(cut, together=max(1, min(together, len(cut.shards) // LEAST_GROUPS)))


def compute_shards(work: GroupWork, engine: Engine, progress: Callable[[int, int], None]) -> Shards:
    """Fill the folder of ``work`` with the shards of its rows; groups that are committed are kept.

    ``progress`` gets the rows done so far and the rows of all shards.
    """
    cut = work.cut
    shards = Shards(work.folder, cut)
    there = {shard for shard in cut.shards if shards.is_there(shard)}
    missing = [group for group in cut.groups if not there.issuperset(cut.shards_of(group))]
    waiting = sum(cut.rows(shard) for group in missing for shard in cut.shards_of(group))
    done = cut.total - waiting
    progress(done, cut.total)
    for group, (counts, usage) in engine.map(work, missing):
        if work.store is not None:
            names = [part_name(shard) for shard in cut.shards_of(group)]
            work.store.gather(work.folder.name, asdict(cut), names)
        for shard, count in zip(cut.shards_of(group), counts, strict=True):
            shards.check(shard, count, read_part_facts(shards.path(shard))[1])
        shards.computed += sum(counts)
        shards.usage.include(usage)
        progress(done + shards.computed, cut.total)
    if work.store is not None and work.kept is not None:
        work.store.gather(work.folder.name, asdict(cut))
    return shards
