"""The code blocks of the README and of the site's pages, and what is done with each.

The first line of a block says what it is: its language, then the name of a file if the reader is to
save it (a file that is named again grows), or ``illustration`` if it cannot stand alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the rest of its first line, and what it holds."""

    language: str
    note: str
    text: str

    @property
    def is_file(self) -> bool:
        return "." in self.note

    @property
    def is_illustration(self) -> bool:
        return self.note == "illustration"


def pages() -> list[Path]:
    """Return the README and every page that is written by hand."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one[1], one[2] or "", one[3]) for one in found]


def commands(block: Block) -> Iterator[str]:
    """Yield the lines of a block of shell commands."""
    yield from (line for line in block.text.splitlines() if line.strip())
