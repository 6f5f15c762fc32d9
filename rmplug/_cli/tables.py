"""Output of the commands: rows as a table or as JSON, and pages of text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rmplug.errors import printable
from rmplug.records import RunRecord, RunSummary, StepRecord

if TYPE_CHECKING:
    from rich.table import Table

    from rmplug._store.run_records import UnreadableRecord

Row = dict[str, Any]

WIDE = 200
"""Characters in a line of a table that goes to a file or another program."""
MOST_WIDE = 10_000
"""Characters in a line of a table at most, where ids that are never broken need them."""
IDS = ("run", "status", "steps", "started", "step", "kind", "number", "value", "95 % interval", "n")
"""Columns that are never broken into several lines, as they are copied or compared."""
NUMERIC = ("value", "n", "rows", "rows/s", "texts known")
"""Columns of numbers that are texts already."""

BELOW = "└"
"""The beginning of a line that belongs to the row above it."""


def show_rows(rows: Sequence[Row], as_json: bool, below: str = "") -> None:
    """Print rows as a table for a person, without columns that are empty, or as JSON.

    The entry ``below`` of a row is no column: it stands in a line of its own below the row."""
    if as_json:
        print(json.dumps(list(rows), indent=1, ensure_ascii=False, default=str))
        return
    if not rows:
        print("nothing")
        return
    from rich.console import Console

    table = _table(rows, below)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    wide = console.width
    unlimited = console.options.update(max_width=MOST_WIDE)
    console.width = max(wide, table.__rich_measure__(console, unlimited).minimum)
    with console.capture() as printed:
        console.print(table)
    told = (_one_line(str(row[below]), wide) for row in rows if row.get(below))
    for line in printed.get().splitlines():
        line = next(told, line) if line.startswith(BELOW) else line
        print(line if console.is_terminal else line.rstrip())


def _table(rows: Sequence[Row], below: str) -> Table:
    """A table of rows, with a marked line where the entry ``below`` has its place."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [name for name in rows[0] if name != below and any(_has(row, name) for row in rows)]
    for name in columns:
        numeric = name in NUMERIC or isinstance(rows[0][name], int | float)
        justify: Literal["right", "left"] = "right" if numeric else "left"
        whole = max(cell_len(_cell(row[name])) for row in rows) if name in IDS else None
        table.add_column(name, justify=justify, overflow="fold", min_width=whole)
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in columns))
        if row.get(below):
            table.add_row(BELOW)
    return table


def _has(row: Row, name: str) -> bool:
    return row[name] not in ("", None)


def _one_line(text: str, wide: int) -> str:
    """A text as one line of so many characters at most, below a row."""
    from rich.text import Text

    line = Text(f"{BELOW} {' '.join(printable(text).split())}")
    line.truncate(wide, overflow="ellipsis")
    return line.plain


def columns_wide() -> int:
    """Return how many characters a line of text may have: those of the terminal, at most 100."""
    return min(100, shutil.get_terminal_size((100, 24)).columns)


def _cell(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:,}"
    return "" if value is None else printable(str(value))


def kind_page(page: dict[str, Any]) -> str:
    """Format a kind's description as a page of text."""
    takes = ", ".join(
        f"{e['name']}: {e['takes']}" + (" (optional)" if e["optional"] else "")
        for e in page["inputs"]
    )
    lines = [
        f"{page['kind']}: {page['family']}, from {page['provider']}",
        "",
        page["doc"],
        "",
        f"inputs  {takes or 'none'}",
        f"gives   {page['gives'] or 'nothing'}",
    ]
    if page["requires"]:
        lines.append(f"needs   {', '.join(page['requires'])}")
    lines += ["", "parameters"] if page["params"] else ["", "no parameters"]
    for entry in page["params"]:
        default = "required" if entry["required"] else f"default {json.dumps(entry['default'])}"
        nested = entry["type"] == "mapping" and entry["default"] is None and not entry["required"]
        suffix = "" if nested else f", {default}"
        lines.append(f"  {entry['name']}: {entry['type']}{suffix}")
        lines += [f"      {line}" for line in entry["description"].splitlines()]
    return "\n".join([*lines, "", "example", *(f"  {x}" for x in page["example"].splitlines())])


def status_of(record: RunRecord | StepRecord) -> str:
    """Return the status of a run or step, even in a word that only a newer version knows."""
    return str(record.unknown.get("status", record.status))


def run_row(run: RunSummary | UnreadableRecord) -> Row:
    """Return a run as a row; of a run whose record cannot be read, the reason."""
    if not isinstance(run, RunSummary):
        row = dict.fromkeys(("started", "seconds", "steps"))
        return {"run": run.id, "status": "unreadable", **row, "note": run.problem, "reason": ""}
    return {
        "run": run.id,
        "status": run.status,
        "started": run.started,
        "seconds": run.seconds,
        "steps": f"{run.ended} of {run.steps}",
        "note": run.note,
        "reason": run.reason,
    }


def step_row(step: StepRecord) -> Row:
    rate = f"{step.rows_per_second:,.0f}" if step.rows_per_second else ""
    return {
        "step": step.id,
        "kind": step.kind,
        "status": status_of(step),
        "rows": "" if step.rows is None else f"{step.rows:,}",
        "seconds": step.seconds,
        "rows/s": rate,
        "texts known": known_texts(step),
        "peak MiB": step.peak_memory_mb,
    }


def known_texts(step: StepRecord) -> str:
    """Tell how many of the texts that models were asked about had kept values."""
    asked = step.texts_known + step.texts_computed
    return f"{step.texts_known:,} of {asked:,}" if asked else ""


def shown_path(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
