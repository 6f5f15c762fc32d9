"""Descriptions of what steps give, in a few words, as Python shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import printable, shown, some
from .stats.numbers import named_numbers

MOST_COLUMNS, MOST_NUMBERS = 8, 20


def describe(artifact: Any) -> str:
    """Describe an artifact: its type and name, then its rows and columns, its folder or its value,
    and a line for each of its first numbers. Nothing is loaded for that."""
    head = " ".join(filter(None, (type(artifact).__name__, artifact.name)))
    facts = "; ".join(_facts(artifact))
    lines = [f"<{head}: {facts}" if facts else f"<{head}", *_numbers(artifact)]
    return printable("\n  ".join(lines)) + ">"


def _facts(artifact: Any) -> Iterator[str]:
    """Say what an artifact holds: a model only scores, and what it holds is large."""
    if hasattr(artifact, "score"):
        return
    if hasattr(artifact, "directory"):
        yield str(artifact.directory / getattr(artifact, "entry", ""))
    elif hasattr(artifact, "columns"):
        count = len(artifact)
        yield "1 row" if count == 1 else f"{count:,} rows"
        yield some(artifact.columns, MOST_COLUMNS)
    elif hasattr(artifact, "value"):
        yield shown(artifact.value)


def _numbers(artifact: Any) -> Iterator[str]:
    """Describe the numbers of metrics, of a fit or of a training, the first of them."""
    numbers = getattr(artifact, "numbers", {})
    if not isinstance(numbers, Mapping):
        numbers = named_numbers(artifact.name, numbers)
    listed = [f"{name}: {number}" for name, number in numbers.items()]
    yield from listed[:MOST_NUMBERS]
    if len(listed) > MOST_NUMBERS:
        yield f"and {len(listed) - MOST_NUMBERS:,} more"
