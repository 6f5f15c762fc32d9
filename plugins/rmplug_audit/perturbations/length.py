"""Length: clauses that add nothing, sentences said twice, and an answer cut off."""

from __future__ import annotations

from random import Random

from .checked import Addition, lost, words_of
from .perturbation import Perturbation, Row, Texts
from .texts import LETTERS, draw, put_behind, sentences


class Padding(Addition):
    """Add sentences that could stand in any response and say nothing about its subject."""

    name = "padding"
    theme = "length"
    intention = "keeps"
    doses = (1, 2, 4)

    phrases: Texts = (
        "This is something that can be said here.",
        "There is more than one way to put this.",
        "That is one part of the whole picture.",
        "All of this belongs together in one way or another.",
        "This point stands beside the others that are made here.",
        "As with many things, there are several sides to it.",
        "That is what there is to say about this part.",
        "It is one thing among several that can be looked at.",
        "What has been said so far is part of this as well.",
        "In other words, that is how it can be described.",
    )
    """The sentences to draw from."""


class Repetition(Perturbation):
    """Say sentences of the response a second time, at its end.

    The dose is the number of sentences said again; one may be said more than twice.
    """

    name = "repetition"
    theme = "length"
    intention = "worsens"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        said = [row.response[start:end] for start, end in sentences(row.response)]
        if not said:
            return None
        again = (draw(said, len(said), random) or []) * dose
        return put_behind(" ".join(again[:dose]), row.response)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        if set(words_of(after)) != set(words_of(before)):
            return "words were added that the original does not have"
        return lost(before, after)


class Cut(Perturbation):
    """Cut the response off in the middle of a sentence.

    The dose is the number of quarters of its words that are cut off.
    """

    name = "cut"
    theme = "length"
    intention = "worsens"
    doses = (1, 2, 3)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        words = list(LETTERS.finditer(row.response))
        kept = len(words) * (4 - dose) // 4
        if len(words) < 8 or kept < 1:
            return None
        return row.response[: words[kept - 1].end()]

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return None if before.startswith(after) else "more than the end has changed"
