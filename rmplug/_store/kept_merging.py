"""Files of kept values put together: those of a step's workers, and the small ones of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.arrays import Array

from .kept_files import MERGED, SUFFIX, DamagedError, Facts, KeptFile, rows_table, write_values
from .kept_index import paths_in, set_aside

if TYPE_CHECKING:
    import pyarrow as pa

MOST_FILES, MERGED_AT_ONCE = 16, 9
"""Files of a folder at most, and how many of them, the smallest, become one where there are more:
so that a row is written again only as often as the folder has grown several times."""


@dataclass(frozen=True)
class _Read:
    """A file without its values: keys (rows, 2) and the number of each row's source."""

    path: Path
    facts: Facts
    keys: Array
    sources: Array


def combine(paths: Sequence[Path], folder: Path, name: str) -> list[Path]:
    """Write the rows of files as one file, ``<name>.<digest>`` in ``folder``; return the files that
    it replaces. A key that a source has twice is written once, as it was first. Files that are
    damaged are set aside; where one vanishes meanwhile, another run has put it together with
    others, and nothing is done."""
    import numpy as np

    read = list(_read(paths))
    if not read:
        return []
    sources = tuple(sorted({source for one in read for source in one.facts.sources}))
    numbers = {source: number for number, source in enumerate(sources)}
    owners = np.concatenate(
        [np.array([numbers[s] for s in one.facts.sources], np.int32)[one.sources] for one in read]
    )
    keys = np.concatenate([one.keys for one in read])
    kept = _first_of_each(keys, owners)
    facts = Facts(sources, read[0].facts.shape, read[0].facts.type)
    digest = hashlib.blake2b(keys[kept].tobytes() + owners[kept].tobytes(), digest_size=8)
    target = folder / f"{name}.{digest.hexdigest()}{SUFFIX}"
    try:
        write_values(target, facts, _tables(read, facts, owners, kept))
    except FileNotFoundError:
        return []
    except DamagedError as error:
        set_aside(error.path)
        return combine([path for path in paths if path != error.path], folder, name)
    # a file that had all rows of the others already has been written anew
    return [one.path for one in read if one.path != target]


def _read(paths: Sequence[Path]) -> Iterator[_Read]:
    first: Facts | None = None
    for path in paths:
        try:
            with closing(KeptFile(path)) as file:
                keys, sources = file.keys()
        except FileNotFoundError:
            continue
        except DamagedError:
            set_aside(path)
            continue
        first = first or file.facts
        if file.facts.is_like(first):
            yield _Read(path, file.facts, keys, sources)
        else:
            set_aside(path)


def _first_of_each(keys: Array, owners: Array) -> Array:
    """Return the mask of the rows that have a key and source that no row before them has."""
    import numpy as np

    order = np.lexsort((keys[:, 1], keys[:, 0], owners))
    ordered, owned = keys[order], owners[order]
    again = (ordered[1:] == ordered[:-1]).all(axis=1) & (owned[1:] == owned[:-1])
    kept = np.ones(len(keys), bool)
    kept[order[1:][again]] = False
    return kept


def _tables(read: Sequence[_Read], facts: Facts, owners: Array, kept: Array) -> Iterator[pa.Table]:
    """Yield the kept rows of files, a group at a time."""
    first = 0
    for one in read:
        with closing(KeptFile(one.path)) as file:
            for group, start in enumerate(file.starts[:-1]):
                own = slice(start, file.starts[group + 1])
                every = slice(first + own.start, first + own.stop)
                mask = kept[every]
                values = file.values(group)[mask]
                yield rows_table(facts, one.keys[own][mask], owners[every][mask], values)
        first += len(one.keys)


def merge_small(folder: Path) -> None:
    """Put the smallest files of a folder together where it has many. Two runs may do so at once: a
    row that is then there twice counts once, and is written once when they are merged again."""
    sizes = {}
    for path in paths_in(folder):
        try:
            sizes[path] = path.stat().st_size
        except FileNotFoundError:
            continue  # another run is doing the same
    if len(sizes) > MOST_FILES:
        smallest = sorted(sizes, key=lambda path: (sizes[path], path.name))[:MERGED_AT_ONCE]
        for path in combine(sorted(smallest), folder, MERGED):
            path.unlink(missing_ok=True)
