"""The same in other words, written by a language model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Annotated

from pydantic import Field

from .checked import code_of, words_of
from .perturbation import Perturbation, Row

_LABEL = re.compile(
    r"^\s*(?:(?:Sure|Here)[^\n:]*:|(?:Paraphrase|Rewritten text)\s*:)\s*", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")


class Paraphrase(Perturbation):
    """Say the response in other words, by the model of the input ``generator``.

    A paraphrase is used where it has the numbers of the original and no others, about its length,
    and enough of its words. A response with blocks of code stays as it is.
    """

    name = "paraphrase"
    theme = "paraphrase"
    intention = "keeps"
    asks = True

    instruction: str = (
        "Rewrite the following text in other words. Keep its meaning, its tone, its length and its "
        "layout. Answer with the rewritten text only."
    )
    """What the model is asked to do; the text follows after a blank line."""
    longest: Annotated[int, Field(ge=1)] = 4000
    """The characters of the longest response that is paraphrased."""
    overlap: Annotated[float, Field(ge=0, le=1)] = 0.3
    """The least share of the different words of the original that the paraphrase has."""
    ratio: Annotated[float, Field(gt=1)] = 2.0
    """The most that the number of words may grow or shrink, as a factor."""

    def question(self, row: Row) -> Sequence[Mapping[str, str]]:
        return [{"role": "user", "content": f"{self.instruction}\n\n{row.response}"}]

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        if code_of(row.response) or len(row.response) > self.longest:
            return None
        text = _LABEL.sub("", row.written)
        if _LABEL.match(row.response) and not _LABEL.match(text):
            text = row.written  # what begins with "Here is ...:" itself begins so in other words
        return text.strip() or None

    def fault(self, before: str, after: str, dose: int) -> str | None:
        if sorted(_DIGITS.findall(before)) != sorted(_DIGITS.findall(after)):
            return "the numbers are not the same"
        old, new = words_of(before.casefold()), words_of(after.casefold())
        if not len(old) / self.ratio <= len(new) <= len(old) * self.ratio:
            return "it is much longer or shorter"
        if len(set(old) & set(new)) < self.overlap * len(set(old)):
            return "it shares too few words with the original"
        return None
