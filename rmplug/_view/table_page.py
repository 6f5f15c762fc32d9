"""One page of the rows of a table, with or without a filter."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug._store.store import Store
from rmplug.arrays import Array
from rmplug.artifacts import Tabular
from rmplug.data.rows import ParquetParts
from rmplug.errors import RmplugError, StoreError, printable
from rmplug.stats.interval_texts import MINUS

from .row_filter import matching_rows
from .stored_results import open_table

PAGE = 50
"""Rows of a page."""
SHORT, LONG = 160, 20_000
"""Characters of a cell that are shown at once, and after it is opened."""
WORDY = 40
"""Characters from which a text gets a wide column."""
REMEMBERED = 8
"""Filters whose rows are kept, 8 bytes for each row, so that their pages are quick."""


@dataclass(frozen=True)
class Cell:
    """A value as text; ``rest`` is all of it where only the beginning is shown at once."""

    text: str
    rest: str = ""
    is_number: bool = False

    @property
    def is_long(self) -> bool:
        """True for a text that needs a wide column."""
        return len(self.text) > WORDY


@dataclass(frozen=True)
class TablePage:
    """Some rows of a table: ``first`` is the place of the first of them among ``matching`` rows,
    from 1."""

    columns: Sequence[str]
    rows: Sequence[tuple[int, Sequence[Cell]]]
    total: int
    matching: int
    page: int
    pages: int
    where: str = ""
    problem: str = ""

    @property
    def first(self) -> int:
        """The place of the first row shown, from 1; 0 if there is none."""
        return (self.page - 1) * PAGE + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """The place of the last row shown."""
        return (self.page - 1) * PAGE + len(self.rows)


class TablePages:
    """Pages of the tables of a store. Only the files with rows of a page are read."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._matching = lru_cache(REMEMBERED)(self._find)

    def page(self, key: str, page: int, where: str) -> TablePage:
        """Read a page, counted from 1; the last one where there are fewer. A filter that cannot be
        read gives its problem, and no rows."""
        table = self._open(key)
        columns = table.columns
        try:
            found = self._matching(key, where) if where.strip() else None
        except RmplugError as error:
            return TablePage(columns, [], len(table), 0, 1, 1, where, str(error))
        matching = len(table) if found is None else len(found)
        pages = max(1, -(-matching // PAGE))
        page = min(max(page, 1), pages)
        places = range((page - 1) * PAGE, min(page * PAGE, matching))
        numbers = list(places) if found is None else [int(found[place]) for place in places]
        rows = list(_rows(table, numbers))
        return TablePage(columns, rows, len(table), matching, page, pages, where)

    def _open(self, key: str) -> Tabular:
        table = open_table(self._store, key)
        if table is None:
            raise StoreError("the table is no longer in the store; run the spec again")
        return table

    def _find(self, key: str, where: str) -> Array:
        return matching_rows(self._open(key), where, self._registry)


def _rows(table: Tabular, numbers: Sequence[int]) -> Iterator[tuple[int, list[Cell]]]:
    """Yield rows with their numbers, from 1; each file with some of them is read once."""
    rows = table.rows
    assert isinstance(rows, ParquetParts)
    for _, listed in groupby(numbers, lambda number: bisect_right(rows.starts, number)):
        own = list(listed)
        read = rows.read(own[0], own[-1] + 1).take([number - own[0] for number in own])
        columns = [column.to_pylist() for column in read.columns]
        for place, number in enumerate(own):
            yield number + 1, [_cell(values[place]) for values in columns]


def _cell(value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return Cell({None: "–", True: "true", False: "false"}[value])
    if isinstance(value, int | float):
        text = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
        return Cell(text.replace("-", MINUS), is_number=True)
    text = printable(_text(value))
    if len(text) <= SHORT:
        return Cell(text)
    cut = f"\n… cut here: {LONG:,} of {len(text):,} characters" if len(text) > LONG else ""
    return Cell(" ".join(text[:SHORT].split()) + " …", text[:LONG] + cut)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return "\n".join(f"{turn['role']}: {turn['content']}" for turn in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"role", "content"}
