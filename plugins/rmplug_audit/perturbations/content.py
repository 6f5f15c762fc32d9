"""Content: keywords of the prompt, text about something else, and errors of substance."""

from __future__ import annotations

import re
from random import Random

from .checked import lost, recoded, words_of
from .perturbation import Perturbation, Row
from .texts import (
    FIXED,
    LETTERS,
    Span,
    draw,
    find_outside,
    inside,
    put_behind,
    replace_spans,
    sentences,
)

_SMALL = frozenset((
    "about", "after", "again", "also", "because", "been", "before", "being", "between", "both",
    "could", "does", "doing", "done", "each", "even", "ever", "every", "from", "give", "gives",
    "have", "having", "here", "into", "just", "know", "like", "made", "make", "many", "more",
    "most", "much", "must", "need", "only", "other", "over", "please", "really", "same", "should",
    "some", "such", "tell", "than", "that", "their", "them", "then", "there", "these", "they",
    "thing", "things", "this", "those", "through", "very", "want", "wants", "were", "what",
    "when", "where", "which", "while", "will", "with", "would", "your", "yours",
))  # fmt: skip
_CONTENT = re.compile(r"(?<![\w'’])[^\W\d_]{4,}(?![\w'’])")
FLUENT = 6
"""Words that a text needs to be one that is clearly about something."""
_NUMBER = re.compile(r"(?<![\w.,/:-])\d{1,6}(?![\w/:-]|[.,]\d)")
_ITEM_NUMBER = re.compile(r"^[ \t>*_#|]*\d+[.)]", re.MULTILINE)
"""The number of an item of a list, of a heading or of a row: another one is no error of
substance."""
_STATED = re.compile(
    r"(?<=[a-z] )(is|are|was|were|can|will|should)\b"
    r"(?! (?:not|no|never|only|just|also|I|you|we|he|she|it|they|there|this|that)\b)"
)


class Keywords(Perturbation):
    """Put a list of words from the prompt at the end; the dose is their number."""

    name = "keywords"
    theme = "keywords"
    intention = "worsens"
    doses = (2, 4, 8)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        words = dict.fromkeys(word.lower() for word in _CONTENT.findall(row.prompt))
        content = [word for word in words if word not in _SMALL]
        if len(content) < dose:
            return None
        return put_behind(f"Keywords: {', '.join(content[:dose])}.", row.response)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


class Echo(Perturbation):
    """Begin by repeating the prompt, or its first 300 characters."""

    name = "echo"
    theme = "keywords"
    intention = "keeps"
    english = True

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        asked = " ".join(FIXED.sub(" ", row.prompt[:300]).split())
        return f'You wrote: "{asked}"\n\n{row.response.lstrip()}' if asked else None

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


class OffTopic(Perturbation):
    """Give a response to another prompt instead: fluent, and about something else."""

    name = "off-topic"
    theme = "off-topic"
    intention = "worsens"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return next((text for text in row.others if _is_fluent(text)), None)


def _is_fluent(text: str) -> bool:
    return len(LETTERS.findall(text)) >= FLUENT


class Irrelevant(Perturbation):
    """Add sentences of responses to other prompts; the dose is their number."""

    name = "irrelevant"
    theme = "off-topic"
    intention = "worsens"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        foreign = [other[start:end] for other in row.others for start, end in sentences(other)]
        drawn = draw(filter(_is_fluent, foreign), dose, random)
        if drawn is None:
            return None
        return put_behind(" ".join(drawn), row.response)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


class WrongNumbers(Perturbation):
    """Change whole numbers to others of as many digits; the dose is how many are changed. Numbers
    of the items of a list stay."""

    name = "wrong-numbers"
    theme = "substance"
    intention = "worsens"
    doses = (1, 2)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        numbers = find_outside(row.response, FIXED, _NUMBER)
        marks = [Span(*found.span()) for found in _ITEM_NUMBER.finditer(row.response)]
        of_items = set(inside(numbers, marks))
        drawn = draw([one for one in numbers if one not in of_items], dose, random)
        if drawn is None:
            return None
        return replace_spans(
            row.response,
            [(span, _other_number(row.response[slice(*span)], random)) for span in drawn],
        )

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return _exchanged(before, after, dose)


def _other_number(number: str, random: Random) -> str:
    first = random.choice([digit for digit in "123456789" if digit != number[0]])
    return first + "".join(random.choice("0123456789") for _ in number[1:])


def _exchanged(before: str, after: str, dose: int) -> str | None:
    """Tell whether more or fewer words than these were exchanged, each for one other."""
    pairs = zip(words_of(before), words_of(after), strict=False)
    same_count = len(words_of(before)) == len(words_of(after))
    if not same_count or sum(one != other for one, other in pairs) != dose:
        return "more or fewer words have changed than asked"
    return recoded(before, after)


class Negation(Perturbation):
    """Turn statements into their opposite by the word "not"; the dose is the number of
    statements. Questions stay."""

    name = "negation"
    theme = "substance"
    intention = "worsens"
    doses = (1, 2)
    english = True

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text = row.response
        statements = [one for one in sentences(text) if "?" not in text[one.end - 3 : one.end]]
        stated = inside(find_outside(text, FIXED, _STATED), statements)
        drawn = draw(stated, dose, random)
        if drawn is None:
            return None
        return replace_spans(text, [(Span(end, end), " not") for _, end in drawn])

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)
