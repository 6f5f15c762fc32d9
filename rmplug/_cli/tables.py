"""What the commands show: rows as a table or as JSON, and pages of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def show_rows(rows: Sequence[Row], as_json: bool) -> None:
    """Rows as a table for a person, or as JSON."""
    if as_json:
        print(json.dumps(list(rows), indent=1, ensure_ascii=False, default=str))
        return
    if not rows:
        print("nothing")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, value in rows[0].items():
        numeric = isinstance(value, int | float)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(Text(f"{v:,}" if isinstance(v, int | float) else str(v)) for v in row.values())
        )
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def kind_page(told: dict[str, Any]) -> str:
    """A kind's description as a page of text."""
    takes = ", ".join(
        f"{e['name']}: {e['takes']}" + (" (optional)" if e["optional"] else "")
        for e in told["inputs"]
    )
    lines = [
        f"{told['kind']}: {told['family']}, from {told['provider']}",
        "",
        told["doc"],
        "",
        f"inputs  {takes or 'none'}",
        f"gives   {told['gives'] or 'nothing'}",
    ]
    if told["requires"]:
        lines.append(f"needs   {', '.join(told['requires'])}")
    lines += ["", "parameters"] if told["params"] else ["", "no parameters"]
    for entry in told["params"]:
        default = "required" if entry["required"] else f"default {json.dumps(entry['default'])}"
        nested = entry["type"] == "mapping" and entry["default"] is None and not entry["required"]
        suffix = "" if nested else f", {default}"
        lines.append(f"  {entry['name']}: {entry['type']}{suffix}")
        lines += [f"      {line}" for line in entry["description"].splitlines()]
    return "\n".join([*lines, "", "example", *(f"  {x}" for x in told["example"].splitlines())])


def step_row(step: Any) -> Row:
    rate = f"{step.rows_per_second:,.0f}" if step.rows_per_second else ""
    return {
        "step": step.id,
        "kind": step.kind,
        "status": step.status,
        "rows": "" if step.rows is None else f"{step.rows:,}",
        "seconds": step.seconds,
        "rows/s": rate,
        "peak MiB": step.peak_memory_mb,
        "artifact": step.artifact,
    }


def shown_path(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
