"""Markdown from texts that may be anyone's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .inputs._wording import label

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|])")


def safe(value: Any) -> str:
    """Escape a text so that no character of it acts as Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", label(value, 600)).replace("\N{NO-BREAK SPACE}", " ")


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table, its cells escaped."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(safe(value) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
