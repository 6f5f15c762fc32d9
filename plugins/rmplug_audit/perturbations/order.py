"""Order: of the items of a list, and of sentences."""

from __future__ import annotations

import re
from random import Random

from .checked import words_of
from .perturbation import Perturbation, Row
from .texts import FENCES, Span, find_outside, fullest_line, replace_spans

_ITEM = r"(?P<indent>[ \t]*)(?P<mark>[-*+•])[ \t]+\S.*"
_LIST = re.compile(rf"^{_ITEM}$(?:\n(?P=indent)(?P=mark)[ \t]+\S.*$)+", re.MULTILINE)
_NEXT = re.compile(r"(?:\n[ \t]*(?=\n))*\n(?P<indent>[ \t]*)(?=\S)")
"""The indentation of the next line that is not blank."""


def _rearranged(before: str, after: str) -> str | None:
    if sorted(words_of(before)) != sorted(words_of(after)):
        return "the words are not the same"
    return None


class ReverseList(Perturbation):
    """Reverse the items of lists with bullets. Numbered lists stay: their order can matter; so do
    lists with more than one line, or a list of its own, in an item."""

    name = "reverse-list"
    theme = "order"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text, found = row.response, find_outside(row.response, FENCES, _LIST)
        whole = [span for span in found if not _goes_on(text, span)]
        return replace_spans(text, [(span, _reverse(text, span)) for span in whole])

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return _rearranged(before, after)


def _goes_on(text: str, items: Span) -> bool:
    """Tell whether the last item has more below it, as a list inside it and further paragraphs of
    it are: they would then stand below another item."""
    following = _NEXT.match(text, items.end)
    indent = _LIST.match(text, items.start)["indent"]  # type: ignore[index]
    return following is not None and len(following["indent"]) > len(indent)


def _reverse(text: str, span: Span) -> str:
    return "\n".join(reversed(text[span.start : span.end].split("\n")))


class SentenceOrder(Perturbation):
    """Move the first sentences of a line behind its last ones: at least three in all, and none
    stays where it was."""

    name = "sentence-order"
    theme = "order"
    intention = "worsens"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        line = fullest_line(row.response)
        if line is None or len(line.sentences) < 3:
            return None
        said = [row.response[start:end] for start, end in line.sentences]
        turn = random.randrange(1, len(said))
        moved = [*said[turn:], *said[:turn]]
        return replace_spans(row.response, list(zip(line.sentences, moved, strict=True)))

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return _rearranged(before, after)
