"""Wording of numbers and names on the page."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import floor, log10
from typing import Any

from markupsafe import Markup, escape

from rmplug.stats.interval_texts import MINUS, decimals_apart, interval_text, number_text

SIGNS = {"\n": "↵\n", "\t": "⇥\t"}
SMALL, SMALLEST, DUST = 1e-4, 1e-6, 1e-12
"""Sizes below which a number is written with the digits it needs, with an exponent, and as 0."""
RAISED = str.maketrans(f"-{MINUS}0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STRONG, END = "\x02", "\x03"
JOINED_DASH = "\N{WORD JOINER}–\N{WORD JOINER}"
_WORD_END = re.compile(r"[\s._/:,-]+")
_DASH = re.compile(r"(?<=\d)–(?=\d)")
_FIRST_LETTER = re.compile(r"(?<=\b[^\W\d_]-)(?=\w)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

Cuts = dict[str, dict[str, None]]
_CUTS: ContextVar[Cuts | None] = ContextVar("cuts", default=None)


def label(text: Any, width: int = 60) -> str:
    """Shorten a name for a label: no control or direction marks, cut in the middle if too long."""
    plain = _CONTROL.sub(" ", str(text))
    keep = (width - 1) // 2
    if len(plain) <= width:
        return plain
    return _noted(f"{plain[: width - 1 - keep]}…{plain[-keep:]}", plain)


def two_lines(text: Any, width: int) -> str:
    """Return a name as a label of one or two lines of so many characters, broken between its words
    where it has any; of one that is too long for two, its beginning and its end."""
    plain = _CONTROL.sub(" ", str(text))
    if len(plain) <= width:
        return plain
    ends = [found.end() for found in _WORD_END.finditer(plain, 0, width + 1)]
    end = max((at for at in ends if width // 3 <= at <= width), default=width)
    first, rest = plain[:end].rstrip(), plain[end:].lstrip()
    return f"{first}\n{rest if len(rest) <= width else _noted(f'…{rest[1 - width :]}', plain)}"


def _noted(cut: str, whole: str) -> str:
    """Return a label that was cut, and note the whole text that it stands for."""
    if (cuts := _CUTS.get()) is not None:
        cuts.setdefault(cut, {})[whole] = None
    return cut


@contextmanager
def noted_cuts() -> Iterator[Cuts]:
    """Note the labels that are cut meanwhile, each with the whole texts that it stands for."""
    cuts: Cuts = {}
    token = _CUTS.set(cuts)
    try:
        yield cuts
    finally:
        _CUTS.reset(token)


def visible(text: str) -> str:
    """Return a text of which every character can be seen: line breaks and tabs as a sign before
    them, other characters that control, join or turn text as their code points."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return f"⟨U+{ord(character):04X}⟩" if unseen else character


def strong(text: str) -> str:
    return f"{STRONG}{text}{END}"


def rich(sentence: str) -> Markup:
    """Return a sentence as HTML: everything escaped, strong parts marked up, and no line that ends
    in a single letter and a hyphen, as in n-gram."""
    text = str(escape(_FIRST_LETTER.sub("\N{WORD JOINER}", unbroken(sentence))))
    return Markup(text.replace(STRONG, "<strong>").replace(END, "</strong>"))


def unbroken(text: str) -> str:
    """Prevent line breaks between a number and its per cent sign, and inside an interval."""
    return _DASH.sub(JOINED_DASH, text.replace(" %", "\N{NO-BREAK SPACE}%"))


def plain(sentence: str) -> str:
    return sentence.replace(STRONG, "").replace(END, "")


def percent(value: float, digits: int = 1) -> str:
    return f"{number_text(100 * value, digits)}\N{NO-BREAK SPACE}%"


def between(low: Any, high: Any, scale: float = 100) -> str:
    """Format ``57.9–64.6``, or an empty string without an interval; in per cent or points by
    default."""
    return "" if low is None or high is None else interval_text(low, high, scale)


def interval(low: Any, high: Any, scale: float = 100) -> str:
    """Format ``95 % CI 57.9–64.6``, or an empty string without an interval."""
    return f"95 % CI {bounds}" if (bounds := between(low, high, scale)) else ""


def with_interval(value: float, low: Any, high: Any) -> str:
    """Format a share in per cent, strong, with its interval if it has one."""
    bounds = interval(low, high)
    return strong(percent(value)) + (f" ({bounds})" if bounds else "")


def points(value: float) -> str:
    """Format a difference of shares, ``+7.5 points``."""
    return f"{number_text(100 * value, 1, signed=True)} points"


def decimal(value: float, places: int) -> str:
    """Format a number with so many decimal places, with more where it would be 0 and is not."""
    return number_text(value, decimals_apart(value, places, dust=DUST))


def number(value: Any) -> str:
    """Format a number for a table: thousands separated, about three significant digits; two of
    what is below 0.01."""
    if value is None or value != value:
        return "–"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size < DUST:
        return "0"
    if float(value).is_integer() and size < 1e15:
        return f"{int(value):,}".replace("-", MINUS)
    if size < SMALLEST:
        head, _, power = f"{value:.1e}".partition("e")
        return f"{head} × 10{str(int(power)).translate(RAISED)}".replace("-", MINUS)
    digits = (
        1 if size >= 100 else 2 if size >= 10 else 3 if size >= 0.01 else 1 - floor(log10(size))
    )
    return f"{value:,.{digits}f}".replace("-", MINUS)


def count(n: int, noun: str) -> str:
    """Format a count: ``1 pair``, ``2,744 pairs``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def left_out(n: int, noun: str) -> list[str]:
    """Return a sentence that so many are not on the page; nothing where all are."""
    if n <= 0:
        return []
    return [f"{count(n, noun)} {'is' if n == 1 else 'are'} only in metrics.json."]


def listed(names: list[str]) -> str:
    """Join names: ``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def amount(value: Any, share: bool, digits: int | None = None) -> str:
    """Format a value as a share in per cent, or as a number."""
    if value is None:
        return "–"
    if share:
        return percent(float(value), 1 if digits is None else digits)
    whole, size = float(value).is_integer(), abs(value)
    return number(float(value)) if whole or size >= 100 or size < 0.01 else number_text(value, 2)


def span(low: Any, high: Any, share: bool) -> str:
    """Format an interval, in per cent if it is of a share."""
    return between(low, high, 100 if share else 1)


def signed(value: float, share: bool) -> str:
    """Format a difference with its sign, in points if it is of shares."""
    if share:
        return number_text(100 * value, 1, signed=True)
    if abs(value) < SMALL:
        return "+" * (value >= DUST) + number(value)
    return f"{value:+.3g}".replace("-", MINUS)
