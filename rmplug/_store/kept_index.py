"""The kept values of one folder: found by their keys, and put together."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.arrays import Array
from rmplug.notices import notice

from .kept_files import (
    KEY_BYTES,
    MERGED,
    SUFFIX,
    DamagedError,
    Facts,
    KeptFile,
    rows_table,
    write_values,
)

if TYPE_CHECKING:
    import pyarrow as pa

MOST_FILES, MERGED_AT_ONCE = 16, 9
"""Files of a folder at most, and how many of them, the smallest, become one where there are more:
so that a row is written again only as often as the folder has grown several times."""
ASIDE = ".damaged"
DAMAGED = "kept values that are damaged: set aside, and computed again"


class KeptIndex:
    """The values of a folder whose sources are visible, found by their keys.

    Where several sources have the same key, the first by its name counts: what is found depends on
    the visible sources alone, not on how their rows are spread over files.
    """

    def __init__(self, folder: Path, visible: Collection[str]) -> None:
        self.folder = folder
        self.visible = visible
        self._files = alike(open_files(folder))
        self._arrange()

    def find(self, keys: Array) -> tuple[Array, Array]:
        """Return the mask of the keys (rows, 2) that are known, and the values of these, of shape
        (known, …). A file that turns out to be damaged is set aside."""
        import numpy as np

        while True:
            if not self._files:
                return np.zeros(len(keys), bool), np.zeros(0)
            places = self._places(keys)
            try:
                return places >= 0, self._read(places[places >= 0])
            except DamagedError as error:
                self._drop(error)
                self._arrange()

    def _drop(self, error: DamagedError) -> None:
        set_aside(error.path)
        self._files = [file for file in self._files if file.path != error.path]

    def _arrange(self) -> None:
        """Sort the keys of all visible rows: 24 bytes a row stay in memory."""
        import numpy as np
        import pyarrow as pa

        self._at = np.zeros(0, np.int64)
        ranked = {name: rank for rank, name in enumerate(sorted(self.visible))}
        keys, places, ranks = [], [], []
        for number, file in enumerate(self._files):
            try:
                read, sources = file.keys()
            except DamagedError as error:
                self._drop(error)
                return self._arrange()
            rank = np.array([ranked.get(name, -1) for name in file.facts.sources], np.int32)
            rank = rank[sources]
            seen = np.flatnonzero(rank >= 0)
            keys.append(read if len(seen) == len(read) else read[seen])
            places.append(seen + (number << 40))
            ranks.append(rank if len(seen) == len(read) else rank[seen])
        if keys:
            self._sort(_joined(keys), _joined(places), _joined(ranks))
        pa.default_memory_pool().release_unused()
        return None

    def _sort(self, keys: Array, places: Array, ranks: Array) -> None:
        import numpy as np

        order = np.argsort(keys[:, 0], kind="stable")
        high = keys[order, 0]
        if (high[1:] == high[:-1]).any():
            order = np.lexsort((ranks, keys[:, 1], keys[:, 0]))
            high = keys[order, 0]
        self._high, self._low, self._at = high, keys[order, 1], places[order]

    def _places(self, keys: Array) -> Array:
        """Return the place of each key; -1 for one that is absent. Of two keys with the same first
        half (one in 2**64) the second is taken for absent, and computed again."""
        import numpy as np

        if not len(self._at):
            return np.full(len(keys), -1)
        first = np.minimum(np.searchsorted(self._high, keys[:, 0]), len(self._at) - 1)
        same = (self._high[first] == keys[:, 0]) & (self._low[first] == keys[:, 1])
        return np.where(same, self._at[first], -1)

    def _read(self, places: Array) -> Array:
        """Read the values at some places, a group of rows at a time."""
        import numpy as np

        facts = self._files[0].facts
        values = np.empty((len(places), facts.width), facts.type)
        numbers, rows = places >> 40, places & ((1 << 40) - 1)
        for number in np.unique(numbers).tolist():
            file = self._files[number]
            own = np.flatnonzero(numbers == number)
            groups = np.searchsorted(file.starts, rows[own], side="right") - 1
            for group in np.unique(groups).tolist():
                wanted = own[groups == group]
                values[wanted] = file.values(group)[rows[wanted] - file.starts[group]]
        return values.reshape(len(places), *facts.shape)


def _joined(arrays: list[Array]) -> Array:
    """Put arrays together, and let go of them."""
    import numpy as np

    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    arrays.clear()
    return joined


def open_files(folder: Path) -> list[KeptFile]:
    """Open the files of a folder, in the order of their names; those that are damaged are set
    aside. Where one vanishes meanwhile, as another run has put several together, the folder is
    listed anew."""
    while True:
        paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.is_symlink())
        opened: list[KeptFile] = []
        try:
            for path in paths:
                try:
                    opened.append(KeptFile(path))
                except DamagedError:
                    set_aside(path)
        except FileNotFoundError:
            continue
        return opened


def alike(files: Sequence[KeptFile]) -> list[KeptFile]:
    """Return the files whose values are like those of the first; others are set aside."""
    kept = [file for file in files if _form(file.facts) == _form(files[0].facts)]
    for file in files:
        if file not in kept:
            set_aside(file.path)
    return kept


def _form(facts: Facts) -> tuple[tuple[int, ...], str]:
    return facts.shape, facts.type


def set_aside(path: Path) -> None:
    """Take a damaged file out of use, and say so."""
    notice(DAMAGED, [path.name], "dropped", of="files")
    with suppress(OSError):  # a folder that is read-only keeps it; nobody uses it
        path.replace(path.with_name(path.name + ASIDE))


def combine(files: Sequence[KeptFile], folder: Path, name: str) -> Path:
    """Write the rows of files (at least one, all alike) as one file, ``<name>.<digest>``, and
    return it; a key that a source has twice is written once, as it was first."""
    import numpy as np

    sources = sorted({source for file in files for source in file.facts.sources})
    numbers = {source: number for number, source in enumerate(sources)}
    read = [file.keys() for file in files]
    owner = [
        np.array([numbers[s] for s in file.facts.sources], np.int32)[rows]
        for file, (_, rows) in zip(files, read, strict=True)
    ]
    keys, owners = np.concatenate([keys for keys, _ in read]), np.concatenate(owner)
    order = np.lexsort((keys[:, 1], keys[:, 0], owners))
    ordered = np.column_stack([keys[order], owners[order].astype(np.uint64)])
    again = np.zeros(len(keys), bool)
    again[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    facts = Facts(tuple(sources), files[0].facts.shape, files[0].facts.type)
    digest = hashlib.blake2b(keys[~again].tobytes() + owners[~again].tobytes(), digest_size=8)
    target = folder / f"{name}.{digest.hexdigest()}{SUFFIX}"
    write_values(target, facts, _tables(files, facts, keys, owners, ~again))
    return target


def _tables(
    files: Sequence[KeptFile], facts: Facts, keys: Array, owners: Array, kept: Array
) -> Iterator[pa.Table]:
    """Yield the kept rows of files, a group at a time."""
    first = 0
    for file in files:
        for group, start in enumerate(file.starts[:-1]):
            here = slice(first + start, first + file.starts[group + 1])
            mask = kept[here]
            values = file.values(group)[mask]
            yield rows_table(facts, keys[here][mask], owners[here][mask], values)
        first += len(file)


def merge_small(folder: Path) -> None:
    """Put the smallest files of a folder together where it has many. Two runs may do so at once: a
    row that is then there twice counts once, and is written once when they are merged again."""
    paths = [path for path in folder.glob(f"*{SUFFIX}") if not path.is_symlink()]
    if len(paths) <= MOST_FILES:
        return
    opened = alike(open_files(folder))
    smallest = sorted(opened, key=lambda file: (len(file), file.path.name))[:MERGED_AT_ONCE]
    try:
        merged = combine(smallest, folder, MERGED)
    except DamagedError as error:
        set_aside(error.path)
        return
    for file in smallest:
        if file.path != merged:  # one that had all rows of the others already is written anew
            file.path.unlink(missing_ok=True)


def sources_of(folder: Path) -> Iterator[str]:
    """Yield the sources of a folder's files; only files that were merged are opened for that."""
    for path in folder.glob(f"*{SUFFIX}"):
        name = path.name.partition(".")[0]
        if name != MERGED:
            yield name
            continue
        with suppress(DamagedError, FileNotFoundError):
            yield from KeptFile(path).facts.sources


def pack_keys(keys: Sequence[bytes]) -> Array:
    """Return digests of keys as whole numbers of 8 bytes, of shape (rows, 2)."""
    import numpy as np

    digests = b"".join(hashlib.blake2b(key, digest_size=KEY_BYTES).digest() for key in keys)
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)
