"""What a step found odd: counted, named, and told in the record and the report."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["kept", "dropped", "changed"]

MOST_IDS = 1000


@dataclass(slots=True)
class Notice:
    """Rows (or what ``of`` says) that are odd: how many, and the first of their ids."""

    what: str
    action: Action = "kept"
    count: int = 0
    ids: list[str] = field(default_factory=list)
    of: str = "rows"

    def add(self, count: int, ids: Sequence[str]) -> None:
        self.count += count
        self.ids.extend(ids[: MOST_IDS - len(self.ids)])


Found = dict[tuple[str, str], Notice]
_found: contextvars.ContextVar[Found | None] = contextvars.ContextVar("notices", default=None)


def notice(what: str, ids: Sequence[str], action: Action = "kept", of: str = "rows") -> None:
    """Count rows that are odd, and name them by their ids; ``of`` says if it is not rows but, for
    example, ``features`` that are named.

    Works anywhere inside a step, in a worker too; outside a run it does nothing.
    """
    found = _found.get()
    if found is not None and len(ids):
        listed = list(ids)
        found.setdefault((what, action), Notice(what, action, of=of)).add(len(listed), listed)


class collect_notices:
    """``with collect_notices() as notices:`` gathers what is noticed inside, by (what, action)."""

    def __enter__(self) -> Found:
        found: Found = {}
        self._token = _found.set(found)
        return found

    def __exit__(self, *_: object) -> None:
        _found.reset(self._token)


def merged(notices: Iterable[Notice]) -> list[Notice]:
    """Notices of the same kind put together, in a fixed order."""
    found: Found = {}
    for entry in notices:
        key = (entry.what, entry.action)
        whole = found.setdefault(key, Notice(entry.what, entry.action, of=entry.of))
        whole.add(entry.count, entry.ids)
    return [found[key] for key in sorted(found)]
