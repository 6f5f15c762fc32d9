"""Surface: typing errors, casing, exclamation marks and emoji."""

from __future__ import annotations

import re
from random import Random

from .checked import Layout, recoded, reworded, words_of
from .perturbation import Perturbation, Row, Texts
from .texts import (
    FIXED,
    Span,
    change_outside,
    draw,
    find_outside,
    replace_spans,
    sentences,
)

_LONG_WORD = re.compile(r"(?<![\w'’-])[^\W\d_]{5,}(?![\w'’-])")
_STOP = re.compile(r"(?<![.!?])\.$")


class Typos(Perturbation):
    """Exchange two letters inside words of five letters or more; the dose is the number of
    words."""

    name = "typos"
    theme = "surface"
    intention = "worsens"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text = row.response
        words = [word for word in find_outside(text, FIXED, _LONG_WORD) if _swaps(text, word)]
        drawn = draw(words, dose, random)
        if drawn is None:
            return None
        return replace_spans(text, [(w, _misspell(text, w, random)) for w in drawn])

    def fault(self, before: str, after: str, dose: int) -> str | None:
        pairs = list(zip(words_of(before), words_of(after), strict=False))
        changed = [(one, other) for one, other in pairs if one != other]
        if len(changed) != dose or len(pairs) != len(words_of(after)):
            return "more or fewer words have changed than asked"
        if any(sorted(one) != sorted(other) for one, other in changed):
            return "letters have changed beyond their order"
        return recoded(before, after)


def _swaps(text: str, word: Span) -> list[int]:
    """Return the inner letters that differ from the one behind them, which is inner too."""
    return [at for at in range(word.start + 1, word.end - 2) if text[at] != text[at + 1]]


def _misspell(text: str, word: Span, random: Random) -> str:
    at = random.choice(_swaps(text, word))
    return f"{text[word.start : at]}{text[at + 1]}{text[at]}{text[at + 2 : word.end]}"


class LowerCase(Perturbation):
    """Write everything but code, formulas and addresses in lower case."""

    name = "lower-case"
    theme = "surface"
    intention = "worsens"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return change_outside(row.response, FIXED, str.lower)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return reworded(before, after, str.casefold) or recoded(before, after)


class UpperCase(Perturbation):
    """Write everything but code, formulas and addresses in capitals."""

    name = "upper-case"
    theme = "surface"
    intention = "worsens"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return change_outside(row.response, FIXED, str.upper)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return reworded(before, after, str.casefold) or recoded(before, after)


class Exclamation(Layout):
    """End sentences with an exclamation mark instead of a full stop; the dose is their number."""

    name = "exclamation"
    theme = "surface"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text = row.response
        stops = [one for one in sentences(text) if _STOP.search(text[one.start : one.end])]
        drawn = draw(stops, dose, random)
        if drawn is None:
            return None
        return replace_spans(text, [(Span(end - 1, end), "!") for _, end in drawn])


class Emoji(Layout):
    """Put an emoji behind sentences; the dose is their number."""

    name = "emoji"
    theme = "emoji"
    intention = "keeps"
    doses = (1, 2, 4)

    signs: Texts = ("😊", "👍", "✨", "🎉", "🙂", "🌟")
    """The emoji to draw from."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        drawn = draw(sentences(row.response), dose, random)
        if drawn is None:
            return None
        return replace_spans(
            row.response, [(Span(end, end), f" {random.choice(self.signs)}") for _, end in drawn]
        )
