"""Names and cells as Weights & Biases keeps them: visible, bounded, and no two names the same."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

OWN = ("steps", "status", "seconds", "problems")
"""Names of the run itself."""
MOST_OF_STEP = 60
"""Characters of a step's name; the name of an artifact, which has it, is at most 128 long."""
MOST_OF_PART = 120
MOST_OF_RUN = 128
MOST_OF_CELL = 1_000
"""Characters of a text in a cell of a table."""


def name_part(text: str, most: int = MOST_OF_PART) -> str:
    """Return a part of a name: characters that nobody sees as ``⟨U+202E⟩``; of a long one, the
    beginning and a digest, so that it still differs from others."""
    seen = "".join(map(_visible, text)) or "⟨empty⟩"
    if len(seen) <= most:
        return seen
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{seen[: most - len(digest) - 1]}…{digest}"


def step_part(step: str) -> str:
    """Return the part of a name that is a step: without the signs that part or match names, and
    another one than the names of the run itself."""
    plain = "".join(_code(c) if c in "/\\*" else c for c in step)
    reserved = plain in OWN or plain.startswith(("_", "."))
    return name_part(f"step {plain}" if reserved else plain, MOST_OF_STEP)


def distinct(names: Iterable[str]) -> list[str]:
    """Return names no two of which are the same: a second ``x`` is ``x (2)``."""
    made: dict[str, None] = {}
    met: Counter[str] = Counter()
    for name in names:
        met[name] += 1
        one = name if met[name] == 1 else f"{name} ({met[name]})"
        while one in made:
            met[name] += 1
            one = f"{name} ({met[name]})"
        made[one] = None
    return list(made)


def cell(value: Any) -> Any:
    """Return a value as it stands in a table: a long text cut, with the number of its characters;
    what is neither number nor text, as JSON."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str) and len(value) > MOST_OF_CELL:
        return f"{value[:MOST_OF_CELL]}… ({len(value):,} characters)"
    return value


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    return _code(character) if kind[0] == "C" or kind in ("Zl", "Zp") else character


def _code(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"
