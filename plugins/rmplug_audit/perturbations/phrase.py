"""A phrase of one's own at the start or the end: what a search finds, or what is suspected."""

from __future__ import annotations

from random import Random
from typing import Literal

from .checked import lost
from .perturbation import Perturbation, Row, Text
from .texts import put_before, put_behind


class Phrase(Perturbation):
    """Put a text before or behind the response; the dose is how often."""

    name = "phrase"
    theme = "found"
    intention = "keeps"
    given = True

    text: Text
    """The text to put there."""
    place: Literal["start", "end"] = "start"
    """Before the response, or behind it."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        put = put_before if self.place == "start" else put_behind
        return put(" ".join([self.text] * dose), row.response)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        # a text with the fence of a code block in it makes code of what follows
        return lost(before, after)
