"""Rows that cannot be used: counted and located, then an error or notices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, TypeVar

from rmplug.data.raw_texts import BadRow
from rmplug.errors import DataError, did_you_mean, some
from rmplug.notices import notice

from .fields import flatten
from .row import Row, UnreadableRow

ROWS_TO_JUDGE = 1000
MOST_SHOWN = 5

Policy: TypeAlias = Literal["error", "drop"]
Result = TypeVar("Result")


def convert_rows(
    rows: Iterable[Row | UnreadableRow],
    convert: Callable[[Row], Result],
    unusable: UnusableRows,
    limit: int | None = None,
) -> Iterator[tuple[Row, Result]]:
    """Yield each row with the entry that ``convert`` makes of it, up to ``limit`` of them.

    A row that could not be parsed, or for which ``convert`` raises ``BadRow``, is left out and
    counted; ``unusable`` raises ``DataError`` after the last row if its policy says so. Halves of
    surrogate pairs that were replaced are noticed.
    """
    repaired: list[str] = []
    for row in rows:
        if isinstance(row, UnreadableRow):
            unusable.count_unreadable(row)
            continue
        try:
            result = convert(row)
        except BadRow as fault:
            unusable.count(row, fault)
            continue
        unusable.count(row, None)
        if row.repaired:
            repaired.append(row.location)
        yield row, result
        if unusable.usable == limit:
            break
    unusable.finish()
    notice("half of a surrogate pair replaced by U+FFFD", repaired, "changed")


class UnusableRows:
    """A collector of the rows that cannot be used: one error at the end, or notices as they come.

    ``hint`` is what to do where a column is missing from every row; ``names`` are the files', for
    the error of data without rows.
    """

    def __init__(self, policy: Policy, hint: str, names: Sequence[str]) -> None:
        self.policy = policy
        self.hint = hint
        self.names = names
        self.total = 0
        self.parsed = 0
        self.usable = 0
        self._shown: list[str] = []
        self._missing: dict[str, int] = {}
        self._columns: list[str] = []

    def count_unreadable(self, row: UnreadableRow) -> None:
        """Count a row that could not be parsed."""
        self._count(row.location, row.reason, row.detail)

    def count(self, row: Row, fault: BadRow | None) -> None:
        """Count a row that was parsed; a column that none of many rows has is an error at once."""
        self.parsed += 1
        self._columns = self._columns or list(flatten(row.value))
        if fault is None:
            self.usable += 1
            return
        if fault.missing:
            self._missing[fault.missing] = self._missing.get(fault.missing, 0) + 1
        self._count(row.location, fault.reason, fault.detail)
        if self.parsed == ROWS_TO_JUDGE:
            self._check_missing()

    def finish(self) -> None:
        """Raise ``DataError`` if rows are unusable and the policy says so, or if none is usable."""
        self._check_missing()
        if self.total and self.policy == "error":
            raise DataError(
                f"{self.total} {'row' if self.total == 1 else 'rows'} cannot be used: "
                f"{self._listed()}; set bad_rows: drop to leave such rows out"
            )
        if self.total and not self.usable:
            raise DataError(f"none of the {self.total} rows can be used: {self._listed()}")
        if not self.usable:
            raise DataError(f"{some(self.names)}: there are no rows")

    def _check_missing(self) -> None:
        for path, count in self._missing.items():
            if count == self.parsed:
                raise DataError(
                    f"no row has {path!r}{did_you_mean(path, self._columns)}; "
                    f"found: {some(self._columns, 20)}; {self.hint}"
                )

    def _listed(self) -> str:
        more = self.total - len(self._shown)
        return "; ".join(self._shown) + (f" and {more} more" if more else "")

    def _count(self, location: str, reason: str, detail: str) -> None:
        self.total += 1
        if len(self._shown) < MOST_SHOWN:
            self._shown.append(
                f"{location}: {reason} ({detail})" if detail else f"{location}: {reason}"
            )
        if self.policy == "drop":
            notice(f"unusable row: {reason}", [location], "dropped")
