"""The pages as HTML: of all runs, of one, of several, of a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug._kinds.registry import Registry
from rmplug._store.store import Store
from rmplug.errors import StoreError, printable
from rmplug.records import RunRecord

from .links import Links
from .run_facts import facts_of, read_safely
from .run_list import RunList
from .side_by_side import MOST_RUNS, RANKED_BY, compare_all
from .stored_results import StoredTable, tables_of
from .table_page import TablePages

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
ASSETS = ("view.css", "view.js")
BETWEEN = ","
"""What stands between the ids of compared runs in an address."""
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'"
)
"""What a page may load and where it may send: this server only, and no code in the page itself."""
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""What a report may do: run its own script, in an origin of its own, and load nothing."""


class Pages:
    """The pages of a store. Nothing is written, and no address leads out of the store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self._list = RunList(store)
        self._tables = TablePages(store, registry)

    def runs(self, links: Links) -> str:
        """Return the page of all runs."""
        return self._render("runs", links, lines=self._list.lines())

    def run(self, links: Links, run: str, earlier: str = "") -> str:
        """Return the page of a run by its id; it leads to a comparison with an ``earlier`` one.
        Raises ``StoreError`` if there is none."""
        facts = facts_of(self.store, self.record(run))
        return self._render("run", links, facts=facts, earlier=earlier)

    def earlier(self, run: str) -> str:
        """Return the id of the run before this one of the same spec; empty if there is none."""
        lines = self._list.lines()
        places = [place for place, line in enumerate(lines) if line.id == run]
        if not places:
            return ""
        name = lines[places[0]].name
        before = (line for line in lines[places[0] + 1 :] if line.is_readable)
        return next((line.id for line in before if line.name == name), "")

    def table(self, links: Links, run: str, name: str, page: int = 1, where: str = "") -> str:
        """Return a page of rows of a table that a step of a run gave."""
        record = self.record(run)
        table = self.table_of(record, name)
        shown = self._tables.page(table.key, page, where)
        return self._render("table", links, record=record, table=table, shown=shown)

    def comparison(self, links: Links, runs: Sequence[str]) -> str:
        """Return the page of several runs side by side, by their ids."""
        if not 2 <= len(runs) <= MOST_RUNS:
            raise StoreError(f"choose 2 to {MOST_RUNS} runs to compare, not {len(runs)}")
        found = compare_all(self.store, [self.record(run) for run in runs])
        return self._render("compare", links, found=found, metric=RANKED_BY)

    def problem(self, links: Links, title: str, message: str) -> str:
        """Return a page that says what is wrong with a request."""
        return self._render("problem", links, title=title, message=message)

    def record(self, run: str) -> RunRecord:
        """Read a record by its id."""
        return read_safely(self.store, run)

    def table_of(self, record: RunRecord, name: str) -> StoredTable:
        """Find a table of a run by the name of its step. Raises ``StoreError``."""
        for table in tables_of(self.store, record):
            if table.name == name:
                return table
        raise StoreError(f"the run {record.id} has no table {name[:80]!r}")

    def _render(self, template: str, links: Links, **values: Any) -> str:
        page = self._environment.get_template(f"{template}.html.j2")
        return page.render(links=links, policy=POLICY, between=BETWEEN, **values)

    @cached_property
    def _environment(self) -> jinja2.Environment:
        import jinja2

        made = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            finalize=_visible,
        )
        made.filters |= {"seconds": _seconds, "count": _count, "moment": _moment, "cut": _cut}
        return made


def _visible(value: Any) -> Any:
    """Show control characters and marks of direction in texts instead of obeying them; markup of
    the templates themselves is left as it is."""
    return printable(value) if type(value) is str else value


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    minutes, seconds = divmod(value, 60)
    return f"{minutes:,.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _moment(text: str) -> str:
    """Shorten a moment in ISO 8601 to the minute."""
    return text[:16].replace("T", " ")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
