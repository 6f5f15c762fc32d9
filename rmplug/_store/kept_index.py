"""The kept values of one folder, found by their keys."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rmplug.arrays import Array
from rmplug.notices import notice

from .kept_files import KEY_BYTES, MERGED, SUFFIX, DamagedError, KeptFile

ASIDE = ".damaged"
DAMAGED = "kept values that are damaged: set aside, and computed again"


class KeptIndex:
    """The values of a folder whose sources are visible, or of all, found by their keys.

    Where several sources have the same key, the first by its name counts: what is found depends on
    the visible sources alone, not on how their rows are spread over files.
    """

    def __init__(self, folder: Path, visible: Collection[str] | None = None) -> None:
        self.folder = folder
        self._files = alike(open_files(folder))
        every = (source for file in self._files for source in file.facts.sources)
        self.visible = frozenset(every) if visible is None else visible
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


def paths_in(folder: Path) -> list[Path]:
    """List the files of a folder, in the order of their names; nothing behind links, and no pipe: a
    store may be a stranger's."""
    if folder.is_symlink():
        return []
    return sorted(p for p in folder.glob(f"*{SUFFIX}") if p.is_file() and not p.is_symlink())


def open_files(folder: Path) -> list[KeptFile]:
    """Open the files of a folder, in the order of their names; those that are damaged are set
    aside. Where one vanishes meanwhile, as another run has put several together, the folder is
    listed anew."""
    while True:
        opened: list[KeptFile] = []
        try:
            for path in paths_in(folder):
                try:
                    opened.append(KeptFile(path))
                except DamagedError:
                    set_aside(path)
        except FileNotFoundError:
            continue
        return opened


def alike(files: Sequence[KeptFile]) -> list[KeptFile]:
    """Return the files whose values are like those of the first; others are set aside."""
    kept = [file for file in files if file.facts.is_like(files[0].facts)]
    for file in files:
        if file not in kept:
            set_aside(file.path)
    return kept


def set_aside(path: Path) -> None:
    """Take a damaged file out of use, and say so."""
    notice(DAMAGED, [path.name], "dropped", of="files")
    with suppress(OSError):  # a folder that is read-only keeps it; nobody uses it
        path.replace(path.with_name(path.name + ASIDE))


def sources_of(folder: Path) -> Iterator[str]:
    """Yield the sources of a folder's files; only files that were merged are opened for that."""
    for path in paths_in(folder):
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
