"""Pieces of Markdown: tables, anchors, texts of docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_BULLET = re.compile(r"^\s*[-*] ")
_CODE = re.compile(r"``([^`]+)``")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; line breaks and bars in cells are escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def docstring(text: str | None) -> str:
    """Write a docstring as Markdown: code in single backquotes, nothing read as HTML."""
    clean = _CODE.sub(r"`\1`", inspect.cleandoc(text or ""))
    parts = re.split(r"(`[^`]*`)", clean)
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    """Escape what Markdown would take for markup where a docstring means the sign itself."""
    return re.sub(r"(?<![\w\\])\*(?=\w)|<(?=[a-zA-Z])|_(?=_)|\[(?=[^\]]*\]\()", r"\\\g<0>", text)


def code(text: str) -> str:
    """Write a text as code, one that holds backquotes too."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def anchor(title: str) -> str:
    """Return the anchor that the site gives a heading of plain words."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, on one line."""
    line = " ".join(text.split())
    return re.split(r"(?<=[.?]) (?=[A-Z`*])", line, maxsplit=1)[0]


def bullets(text: str) -> list[str]:
    """Return the bullets of a docstring, each on one line, without its dash."""
    found: list[list[str]] = []
    for line in inspect.cleandoc(text).splitlines():
        if _BULLET.match(line):
            found.append([_BULLET.sub("", line, count=1)])
        elif found and line.startswith("  "):
            found[-1].append(line.strip())
        elif not line.strip():
            found.append([])
        elif found and not found[-1]:
            continue
    return [" ".join(lines) for lines in found if lines]
