"""Checks of results: numbers of a step beside the same computed in the most exact way there is."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Check:
    """Numbers that a model gave of some rows beside more exact ones: how far apart they are, in the
    unit of the numbers."""

    what: str
    exactly: str
    """What the exact ones are: the format of each row alone, without padding (``float32``), or,
    unless ``alone``, the name of another model."""
    rows: int = 0
    largest: float = 0.0
    mean: float = 0.0
    spread: float | None = None
    """Standard deviation of the numbers among all rows that were computed with them."""
    pairs: int = 0
    flipped: int = 0
    """Pairs, of ``pairs``, whose preferred response is another."""
    alone: bool = True

    def include(self, other: Check) -> None:
        """Add the check of other rows of the same step."""
        total = self.mean * self.rows + other.mean * other.rows
        self.rows += other.rows
        self.mean = total / self.rows if self.rows else 0.0
        self.largest = max(self.largest, other.largest)
        spreads = [one.spread for one in (self, other) if one.spread is not None]
        self.spread = max(spreads, default=None)
        self.pairs += other.pairs
        self.flipped += other.flipped

    @property
    def sentence(self) -> str:
        """The check in words."""
        exact = f"each row alone in {self.exactly}" if self.alone else self.exactly
        text = (
            f"{self.what} of {self.rows} rows differ from those of {exact} by at most "
            f"{self.largest:.1e}"
        )
        text += "" if self.spread is None else f" (standard deviation {self.spread:.3g})"
        return text + (f"; {self.flipped} of {self.pairs} pairs flipped" if self.pairs else "")


Found = dict[tuple[str, str], Check]
_found: contextvars.ContextVar[Found | None] = contextvars.ContextVar("checks", default=None)


def _include(found: Found, check: Check) -> None:
    """Put a check to those of the same numbers."""
    key = (check.what, check.exactly)
    found.setdefault(key, Check(*key, alone=check.alone)).include(check)


def add_check(check: Check) -> None:
    """Put a check into the record of the step that is at work, in a worker too; outside a run it
    does nothing."""
    gathered = _found.get()
    if gathered is not None:
        _include(gathered, check)


class collect_checks:
    """A context that gathers the checks inside it: ``with collect_checks() as checks:``."""

    def __enter__(self) -> Found:
        gathered: Found = {}
        self._token = _found.set(gathered)
        return gathered

    def __exit__(self, *_: object) -> None:
        _found.reset(self._token)


def merged_checks(checks: Iterable[Check]) -> list[Check]:
    """Return checks of the same numbers put together, in a fixed order."""
    by_kind: Found = {}
    for check in checks:
        _include(by_kind, check)
    return [by_kind[key] for key in sorted(by_kind)]
