"""Kept values: what a model gave for a text, kept across steps and runs.

kept/<digest>/about.json         what was computed: the model, by its files, and what it was asked
kept/<digest>/<source>.….parquet   values that one step computed; ``merged.…``: of several

A step sees the values of those sources that were there when the run began, and of the steps of this
run that it comes after: so that its result is the same for any number of workers, whatever other
runs add meanwhile. What it computes becomes visible when it has finished. A kept value differs from
one that is computed again by rounding at most (the rows beside it in a batch were others).
"""

from __future__ import annotations

import contextvars
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmplug.arrays import Array
from rmplug.records import Usage

from .files import guarded, write_file
from .kept_files import Facts, rows_table, write_values
from .kept_index import KeptIndex, pack_keys, paths_in, sources_of
from .kept_merging import combine, merge_small

ABOUT = "about.json"
SNAPSHOT = "visible.json"
MOST_NUMBERS = 8192
"""Numbers of a row's value at most: of states of many layers it is cheaper to run the model than to
keep what nobody may ask for again."""

Identity = Mapping[str, Any]
Compute = Callable[[Array], Array]
"""A function from indices of rows, of shape (n,), to their values, of shape (n, …)."""


def folder_name(identity: Identity) -> str:
    """Return the name of the folder for what was computed."""
    return hashlib.blake2b(_as_text(identity).encode(), digest_size=16).hexdigest()


def _as_text(identity: Identity) -> str:
    return json.dumps(identity, sort_keys=True, ensure_ascii=False, default=str)


@dataclass
class KeptView:
    """The kept values that a step sees; sent to workers, where its indices stay in memory as long
    as the step goes on."""

    root: Path
    sources: frozenset[str] | Path
    """The visible sources, or the file that lists them."""
    _indices: dict[str, KeptIndex] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_indices": {}}

    def index(self, name: str) -> KeptIndex:
        """Return the index of a folder, as it was when it was first asked for."""
        if name not in self._indices:
            self._indices[name] = KeptIndex(self.root / name, self._visible())
        return self._indices[name]

    def _visible(self) -> frozenset[str]:
        if isinstance(self.sources, Path):
            self.sources = read_snapshot(self.sources)
        return self.sources

    @contextmanager
    def in_use(self, usage: Usage) -> Iterator[Keeping]:
        """A context in which models use kept values; how many is added to ``usage``."""
        keeping = Keeping(self, usage)
        token = _now.set(keeping)
        try:
            yield keeping
        finally:
            _now.reset(token)


@dataclass
class Fresh:
    """Values that were computed: keys (rows, 2) and values (rows, …)."""

    identity: Identity
    keys: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)


@dataclass
class Keeping:
    """The use of kept values by a block of work, and what it computed itself."""

    view: KeptView
    usage: Usage
    fresh: dict[str, Fresh] = field(default_factory=dict)

    def rows(self, identity: Identity, keys: Sequence[bytes], compute: Compute) -> Array:
        """Return the values of all rows; those of equal keys are computed once, those that are
        known not at all."""
        import numpy as np

        name = folder_name(identity)
        every, first, at = np.unique(
            pack_keys(keys), axis=0, return_index=True, return_inverse=True
        )
        at = at.reshape(-1)
        known, values = self.view.index(name).find(every)
        absent = np.flatnonzero(~known)
        absent = absent[np.argsort(first[absent])]  # in the order of the rows, as without a store
        computed = compute(first[absent]) if len(absent) else None
        if computed is not None and known.any() and not _fit(values, computed):
            known[:] = False  # kept by something else of the same name: none of it is used
            absent = np.argsort(first)
            computed = compute(first[absent])
        self._count(name, int(known.sum()), len(absent))
        if computed is None:
            return values[at]
        result = np.empty((len(every), *computed.shape[1:]), computed.dtype)
        if known.any():
            result[known] = values
        result[absent] = computed
        self._keep(name, identity, every[absent], computed)
        return result[at]

    def _count(self, name: str, known: int, computed: int) -> None:
        self.usage.include(Usage(texts_known=known, texts_computed=computed, kept=[name]))

    def _keep(self, name: str, identity: Identity, keys: Array, values: Array) -> None:
        import numpy as np

        flat = values.reshape(len(values), -1)
        if values.dtype.name not in ("float32", "float64") or not 0 < flat.shape[1] <= MOST_NUMBERS:
            return
        sound = np.isfinite(flat).all(axis=1)
        fresh = self.fresh.setdefault(name, Fresh(identity))
        fresh.keys.append(keys[sound])
        fresh.values.append(values[sound])

    def write(self, folder: Path, part: str, source: str) -> None:
        """Write what was computed into a folder for each identity in ``folder``."""
        import numpy as np

        for name, fresh in self.fresh.items():
            keys = np.concatenate(fresh.keys)
            forms = {(values.shape[1:], values.dtype.name) for values in fresh.values}
            if len(keys) and len(forms) == 1:
                values = np.concatenate(fresh.values)
                facts = Facts((source,), values.shape[1:], values.dtype.name)
                own = folder / name
                own.mkdir(parents=True, exist_ok=True)
                write_file(own / ABOUT, (_as_text(fresh.identity) + "\n").encode(), flush=False)
                rows = rows_table(facts, keys, np.zeros(len(keys)), values)
                write_values(own / f"{part}.parquet", facts, [rows])


def _fit(values: Array, computed: Array) -> bool:
    return values.shape[1:] == computed.shape[1:] and values.dtype == computed.dtype


_now: contextvars.ContextVar[Keeping | None] = contextvars.ContextVar("kept", default=None)


def keeping() -> Keeping | None:
    """Return the use of kept values that goes on; None outside a run, and where none is wanted."""
    return _now.get()


@contextmanager
def keeping_nothing() -> Iterator[None]:
    """A context in which models are run on every text, and nothing that they give is kept: for work
    that measures how the same text is scored in several ways."""
    token = _now.set(None)
    try:
        yield
    finally:
        _now.reset(token)


def visible_sources(root: Path) -> frozenset[str]:
    """List the sources of all kept values of a store."""
    folders = sorted(root.iterdir()) if root.is_dir() and not root.is_symlink() else []
    plain = (folder for folder in folders if folder.is_dir() and not folder.is_symlink())
    return frozenset(source for folder in plain for source in sources_of(folder))


def write_snapshot(path: Path, sources: Collection[str]) -> None:
    """Write down what a step sees, unless that is there: a step that goes on after a kill sees what
    it saw before."""
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        write_file(path, json.dumps(sorted(sources)).encode(), flush=False)


def read_snapshot(path: Path) -> frozenset[str]:
    """Read what a step sees; nothing where that cannot be read."""
    try:
        return frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, RecursionError):
        return frozenset()


def publish(made: Path, root: Path, source: str) -> tuple[list[str], list[Path]]:
    """Move what the workers of a step computed, ``made/<identity>/*.parquet``, into the store;
    return the identities, and the files that were replaced."""
    names = sorted(path.parent.name for path in made.glob(f"*/{ABOUT}"))
    before = [path for name in names for path in paths_in(root / name)]
    for own in (made / name for name in names):
        target = root / own.name
        with guarded(f"write {target}"):
            if target.is_symlink():
                target.unlink()  # what is written there would be elsewhere
            target.mkdir(parents=True, exist_ok=True)
            combine(paths_in(own), target, source)
            if not (target / ABOUT).is_file():
                write_file(target / ABOUT, (own / ABOUT).read_bytes(), flush=False)
            merge_small(target)
    return names, [path for path in before if not path.exists()]
