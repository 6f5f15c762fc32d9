"""Perturbations with the check of what they changed: sentences added, or only another layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import ClassVar, Literal

from .perturbation import Perturbation, Row, Texts
from .texts import FENCES, WORD, Span, put_before, put_behind, replace_spans, sentences


@lru_cache(maxsize=4)
def words_of(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text))


def code_of(text: str) -> list[str]:
    if "```" not in text and "~~~" not in text:
        return []
    return [found.group() for found in FENCES.finditer(text)]


def lost(before: str, after: str) -> str | None:
    """Tell whether words of the original, in their order, or its code are missing from a copy."""
    remaining = iter(words_of(after))
    if not all(word in remaining for word in words_of(before)):
        return "words of the original are missing"
    return recoded(before, after)


def reworded(before: str, after: str, fold: Callable[[str], str] = str) -> str | None:
    """Tell whether the words of a copy are others, or in another order."""
    if words_of(fold(before)) != words_of(fold(after)):
        return "the words are not the same"
    return None


def recoded(before: str, after: str) -> str | None:
    """Tell whether the blocks of code of a copy are others."""
    return "code has changed" if code_of(before) != code_of(after) else None


class Layout(Perturbation):
    """A change of layout: every word stays, in its order, and so does code."""

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return reworded(before, after) or recoded(before, after)


class Addition(Perturbation):
    """Add sentences: every word of the original stays, in its order, and so does code.

    The dose is the number of sentences.
    """

    english = True
    place: ClassVar[Literal["start", "between", "end"]] = "between"
    """Before the response, behind statements of it (not behind questions), or at its end."""
    phrases: Texts
    """The sentences to draw from."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return self.add(self.drawn(dose, random), row.response, random)

    def drawn(self, count: int, random: Random) -> list[str]:
        """Draw sentences; all are used before one is used again."""
        order = list(self.phrases)
        random.shuffle(order)
        return [order[number % len(order)] for number in range(count)]

    def add(self, phrases: Sequence[str], text: str, random: Random) -> str | None:
        if self.place == "start":
            return put_before(" ".join(phrases), text)
        said = sentences(text)
        if self.place == "end" or not said:
            return put_behind(" ".join(phrases), text)
        ends = [end for start, end in said if "?" not in text[max(start, end - 3) : end]]
        if not ends:
            return None
        places = [random.choice(ends) for _ in phrases]
        return replace_spans(
            text,
            [(Span(end, end), f" {phrase}") for end, phrase in zip(places, phrases, strict=True)],
        )

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)
