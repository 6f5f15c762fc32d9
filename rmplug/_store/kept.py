"""Kept values: what a model gave for a text, kept across steps and runs.

kept/<digest>/about.json         what was computed: the model, by its files, and what it was asked
kept/<digest>/<source>.….parquet   values that one step computed; ``merged.…``: of several

A step sees the values of those sources that were there when the run began, and of the steps of this
run that it comes after: so that its result is the same for any number of workers, whatever other
runs add meanwhile. What it computes becomes visible when it has finished. A kept value differs from
one that is computed again by rounding at most (the rows beside it in a batch were others).

An answer of a server is paid for, and does not depend on the rows beside it: it is written soon
after it came, whatever becomes of its step, and seen by every step that asks later.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.arrays import Array
from rmplug.records import Usage

from .arriving import Arriving
from .files import guarded, write_file
from .kept_files import SUFFIX, Facts, rows_table, write_values
from .kept_index import KeptIndex, pack_keys, paths_in, sources_of
from .kept_merging import combine, merge_small

if TYPE_CHECKING:
    from .store import Store

ABOUT = "about.json"
SNAPSHOT = "visible.json"
MOST_NUMBERS = 8192
"""Numbers of a row's value at most: of states of many layers it is cheaper to run the model than to
keep what nobody may ask for again."""

Identity = Mapping[str, Any]
Compute = Callable[[Array], Array]
"""A function from indices of rows, of shape (n,), to their values, of shape (n, …)."""
Keep = Callable[[Array, Array], None]
"""A function that takes some of the indices, and their values, from any thread."""
Ask = Callable[[Array, Keep], Array]
"""A function like ``Compute`` that also passes on values as they arrive."""


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
    source: str
    """The result of the step, which is the source of what it adds."""
    sources: frozenset[str] | Path
    """The visible sources, or the file that lists them."""
    store: Store | None = None
    """The store through which other machines see what is added, if it is not a folder alone."""
    _indices: dict[str, KeptIndex] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_indices": {}}

    def index(self, name: str) -> KeptIndex:
        """Return the index of a folder, as it was when it was first asked for."""
        if name not in self._indices:
            self._indices[name] = KeptIndex(self.root / name, self._visible())
        return self._indices[name]

    def index_of_all(self, name: str) -> KeptIndex:
        """Return the index of all that is in a folder now, whatever its source."""
        if self.store is not None:
            self.store.pull_kept(name)
        return KeptIndex(self.root / name)

    def add(self, identity: Identity, keys: Array, values: Array) -> None:
        """Put keys (rows, 2) and values (rows, …) into the store."""
        folder = self.root / folder_name(identity)
        with guarded(f"write {folder}"):
            before = _begin(folder, identity)
            digest = hashlib.blake2b(keys.tobytes(), digest_size=8).hexdigest()
            _write_rows(folder / f"{self.source}.{digest}{SUFFIX}", self.source, keys, values)
            merge_small(folder)
        if self.store is not None:
            self.store.share_kept([folder.name], _gone(before))

    def _visible(self) -> frozenset[str]:
        if isinstance(self.sources, Path):
            self.sources = read_snapshot(self.sources)
        return self.sources

    @contextmanager
    def in_use(self, usage: Usage) -> Iterator[Keeping]:
        """A context in which models use kept values; how many is added to ``usage``. At its end,
        whatever it was, what servers have answered is in the store."""
        with ExitStack() as arriving:
            keeping = Keeping(self, usage, arriving)
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
    arriving: ExitStack
    """What is written when the work has ended."""
    fresh: dict[str, Fresh] = field(default_factory=dict)
    _asked: dict[str, tuple[KeptIndex, Arriving]] = field(default_factory=dict)

    def rows(self, identity: Identity, keys: Sequence[bytes], compute: Compute) -> Array:
        """Return the values of all rows; those of equal keys are computed once, those that are
        known not at all."""
        import numpy as np

        index = self.view.index(folder_name(identity))
        return self._rows(identity, index, pack_keys(keys), compute, np.zeros(len(keys), bool))

    def answers(self, identity: Identity, keys: Sequence[bytes], ask: Ask) -> Array:
        """Return the values of all rows as ``rows`` does; those that ``ask`` passes on are kept,
        though the step may fail."""
        import numpy as np

        name = folder_name(identity)
        if name not in self._asked:
            arriving = self.arriving.enter_context(Arriving(partial(self.view.add, identity)))
            self._asked[name] = self.view.index_of_all(name), arriving
        (index, arriving), packed = self._asked[name], pack_keys(keys)
        added = np.zeros(len(keys), bool)

        def keep(indices: Array, values: Array) -> None:
            sound = _may_be_kept(values)
            if sound.any():
                arriving.add(packed[indices[sound]], values[sound])
            added[indices] = True

        return self._rows(identity, index, packed, lambda at: ask(at, keep), added)

    def _rows(
        self, identity: Identity, index: KeptIndex, packed: Array, compute: Compute, added: Array
    ) -> Array:
        """Return the values of all rows; ``added`` are those that are kept before they all are
        there."""
        import numpy as np

        name = folder_name(identity)
        every, first, at = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        at = at.reshape(-1)
        known, values = index.find(every)
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
        rest = ~added[first[absent]]
        self._keep(name, identity, every[absent[rest]], computed[rest])
        return result[at]

    def _count(self, name: str, known: int, computed: int) -> None:
        self.usage.include(Usage(texts_known=known, texts_computed=computed, kept=[name]))

    def _keep(self, name: str, identity: Identity, keys: Array, values: Array) -> None:
        sound = _may_be_kept(values)
        if sound.any():
            fresh = self.fresh.setdefault(name, Fresh(identity))
            fresh.keys.append(keys[sound])
            fresh.values.append(values[sound])

    def write(self, folder: Path, part: str) -> None:
        """Write what was computed into a folder for each identity in ``folder``."""
        import numpy as np

        for name, fresh in self.fresh.items():
            keys = np.concatenate(fresh.keys)
            forms = {(values.shape[1:], values.dtype.name) for values in fresh.values}
            if len(keys) and len(forms) == 1:
                _begin(folder / name, fresh.identity)
                path = folder / name / f"{part}{SUFFIX}"
                _write_rows(path, self.view.source, keys, np.concatenate(fresh.values))


def _may_be_kept(values: Array) -> Array:
    """Return the mask of the rows that may be kept."""
    import numpy as np

    width = math.prod(values.shape[1:])
    if values.dtype.name not in ("float32", "float64") or not 0 < width <= MOST_NUMBERS:
        return np.zeros(len(values), bool)
    return np.asarray(np.isfinite(values.reshape(len(values), width)).all(axis=1))


def _begin(folder: Path, about: Identity | bytes) -> list[Path]:
    """Make the folder of what was computed, unless it is there; return the files in it."""
    if folder.is_symlink():
        folder.unlink()  # what is written there would be elsewhere
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ABOUT).is_file():
        text = about if isinstance(about, bytes) else (_as_text(about) + "\n").encode()
        write_file(folder / ABOUT, text, flush=False)
    return paths_in(folder)


def _write_rows(path: Path, source: str, keys: Array, values: Array) -> None:
    import numpy as np

    facts = Facts((source,), values.shape[1:], values.dtype.name)
    write_values(path, facts, [rows_table(facts, keys, np.zeros(len(keys)), values)])


def _gone(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if not path.exists()]


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
    before: list[Path] = []
    for own in (made / name for name in names):
        target = root / own.name
        with guarded(f"write {target}"):
            before += _begin(target, (own / ABOUT).read_bytes())
            combine(paths_in(own), target, source)
            merge_small(target)
    return names, _gone(before)
