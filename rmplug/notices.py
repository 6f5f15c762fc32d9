"""Notices of odd rows: counted, named, and shown in the record and the report."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

Action = Literal["kept", "dropped", "changed"]

MOST_IDS = 1000


@dataclass(slots=True)
class Notice:
    """Odd rows (or what ``of`` names): how many, and the first of their ids."""

    what: str
    action: Action = "kept"
    count: int = 0
    ids: list[str] = field(default_factory=list)
    of: str = "rows"

    def add(self, count: int, ids: Sequence[str]) -> None:
        """Count more of them; what is not rows counts once by its name, such as a model that every
        worker opens."""
        if self.of != "rows" and count == len(ids):
            known = set(self.ids)
            ids = [name for name in dict.fromkeys(ids) if name not in known]
            count = len(ids)
        self.count += count
        self.ids.extend(ids[: MOST_IDS - len(self.ids)])


Found = dict[tuple[str, str], Notice]
_found: contextvars.ContextVar[Found | None] = contextvars.ContextVar("notices", default=None)


@dataclass(slots=True)
class _Once:
    """The ids of rows that were noticed while they count once, in what gathers them."""

    gathered: Found
    seen: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def new(self, what: str, action: str, ids: Sequence[str]) -> list[str]:
        """Return the ids that this notice did not have before, each once."""
        known = self.seen.setdefault((what, action), set())
        new = [name for name in dict.fromkeys(ids) if name not in known]
        known.update(new)
        return new


_once: contextvars.ContextVar[_Once | None] = contextvars.ContextVar("once", default=None)


def notice(what: str, ids: Sequence[str], action: Action = "kept", of: str = "rows") -> None:
    """Count rows that are odd, and name them by their ids; ``of`` names what they are if not rows
    but, for example, ``features``.

    Works anywhere inside a step, in a worker too; outside a run it does nothing.
    """
    gathered = _found.get()
    if gathered is None:
        return
    listed, once = list(ids), _once.get()
    if once is not None and once.gathered is gathered and of == "rows":
        listed = once.new(what, action, listed)
    if listed:
        gathered.setdefault((what, action), Notice(what, action, of=of)).add(len(listed), listed)


@contextmanager
def counted_once() -> Iterator[None]:
    """A context in which a row counts once by its id for each notice, though it is named again, as
    by each of several models that are asked about the same rows."""
    gathered, outer = _found.get(), _once.get()
    if gathered is None or (outer is not None and outer.gathered is gathered):
        yield
        return
    token = _once.set(_Once(gathered))
    try:
        yield
    finally:
        _once.reset(token)


class collect_notices:
    """A context that gathers the notices inside it, by (what, action): ``with collect_notices() as
    notices:``."""

    def __enter__(self) -> Found:
        gathered: Found = {}
        self._token = _found.set(gathered)
        return gathered

    def __exit__(self, *_: object) -> None:
        _found.reset(self._token)


def tell_again(found: Found) -> None:
    """Put notices of what is done once, such as the opening of a model, among those that are
    gathered now, unless they are there."""
    gathered = _found.get()
    if gathered is not None:
        for kind, entry in found.items():
            gathered.setdefault(kind, replace(entry, ids=list(entry.ids)))


def merged(notices: Iterable[Notice]) -> list[Notice]:
    """Return notices of the same kind put together, in a fixed order."""
    by_kind: Found = {}
    for entry in notices:
        key = (entry.what, entry.action)
        whole = by_kind.setdefault(key, Notice(entry.what, entry.action, of=entry.of))
        whole.add(entry.count, entry.ids)
    return [by_kind[key] for key in sorted(by_kind)]
