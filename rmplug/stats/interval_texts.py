"""The text of an interval: two significant digits of its width, one sort of minus sign."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10

MINUS = "\N{MINUS SIGN}"
MOST_DECIMALS = 10
ROUNDING = 1e-9
"""Ends that differ by less, relative to their size, are the same number."""


def decimals(low: float, high: float) -> int:
    """Return the decimal places at which the width of an interval has two significant digits, 0 to
    10; 1 where it has no width."""
    width = abs(high - low)
    if not ROUNDING * max(abs(low), abs(high)) < width < float("inf"):
        return 1
    return min(MOST_DECIMALS, max(0, 1 - floor(log10(float(f"{width:.1e}")))))


def number_text(value: float, places: int, *, signed: bool = False) -> str:
    """Format a number with so many decimal places, with its sign where ``signed``; zero has
    none."""
    text = f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def decimals_apart(
    value: float, places: int, marks: Iterable[float] = (0.0,), dust: float = 0.0
) -> int:
    """Return the decimal places, ``places`` or more up to 10, at which a number that lies on one
    side of a mark is not written on the other side, nor as the mark itself. A number that is within
    ``dust`` of a mark is that mark."""
    apart = [mark for mark in marks if abs(value - mark) > dust]
    while places < MOST_DECIMALS:
        written = float(f"{value:.{places}f}")
        if all((written > mark, written < mark) == (value > mark, value < mark) for mark in apart):
            break
        places += 1
    return places


def interval_text(
    low: float, high: float, scale: float = 1.0, marks: Iterable[float] = (0.0,)
) -> str:
    """Format ``77.5–85.9``; ``−0.3 to 1.2`` where an end is below 0. ``scale`` 100 writes shares as
    per cent or points. An end that would be rounded onto one of the ``marks``, 0 by default, though
    it lies beside it, has as many digits as tell them apart: ``−18 to −0.2``."""
    ends = (scale * low, scale * high)
    places, dust = decimals(*ends), ROUNDING * max(map(abs, ends))
    scaled = [scale * mark for mark in marks]
    first, last = (number_text(end, decimals_apart(end, places, scaled, dust)) for end in ends)
    return f"{first} to {last}" if MINUS in first + last else f"{first}–{last}"
