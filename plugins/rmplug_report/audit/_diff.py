"""The difference of two texts, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rmplug_report.inputs._wording import visible

WORDS = re.compile(r"\w+|\s|[^\w\s]")
MOST_WORDS = 3_000
"""Words of a text between what both texts begin and end with: more are one change, because the
comparison takes the square of them."""
AROUND = 160
"""Characters of unchanged text that are shown at either side of a change."""
LEFT_OUT = "…"


@dataclass(frozen=True)
class Segment:
    """A part of two texts: the same in both, or what one has instead of what the other has."""

    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def same_start(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the words or characters that both begin with."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(before), len(after)))


def word_diff(before: str, after: str) -> list[Segment]:
    """Return two texts in segments: put together, their sides are the texts."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    start = same_start(old, new)
    end = same_start(old[start:][::-1], new[start:][::-1])
    middle = _compared(old[start : len(old) - end], new[start : len(new) - end])
    head, tail = "".join(old[:start]), "".join(old[len(old) - end :])
    segments = [Segment(head, head), *middle, Segment(tail, tail)]
    return [one for one in segments if one.before or one.after]


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[Segment]:
    if max(len(old), len(new)) > MOST_WORDS:
        yield Segment("".join(old), "".join(new))
        return
    for _, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield Segment("".join(old[i:j]), "".join(new[k:m]))


Pieces = list[tuple[str, bool]]


def shown_sides(segments: Sequence[Segment]) -> tuple[Pieces, Pieces]:
    """Return both texts in pieces, each with whether it is changed.

    Unchanged text far from a change is left out at the same places of both. Every character can be
    seen: changed line breaks by their sign, spaces where nothing else was changed by a dot."""
    sides: tuple[Pieces, Pieces] = ([], [])
    last = len(segments) - 1
    for place, one in enumerate(segments):
        if not one.changed:
            text = plain_text(_shortened(one.before, first=place == 0, last=place == last))
            for side in sides:
                side.append((text, False))
            continue
        for side, text in zip(sides, (one.before, one.after), strict=True):
            if text:
                side.append((_marked(text), True))
    return sides


def _shortened(text: str, first: bool, last: bool) -> str:
    """Leave out the middle of a long unchanged text, of the first one its beginning, of the last
    one its end, as far as no word is cut."""
    head = 2 * AROUND if first and last else 0 if first else AROUND
    tail = 0 if last else AROUND
    if len(text) <= head + tail + AROUND // 4:
        return text
    begin = text[:head].rpartition(" ")[0] if head else ""
    end = text[len(text) - tail :].partition(" ")[2] if tail else ""
    return f"{begin} {LEFT_OUT} {end}".strip() if first or last else f"{begin} {LEFT_OUT} {end}"


def _marked(text: str) -> str:
    """Show each changed line break and tab by a sign, and spaces where nothing else was changed."""
    signs = visible(text)
    return signs.replace(" ", "·") if not text.strip() else signs


def plain_text(text: str) -> str:
    """Keep line breaks and tabs as they are, and show other characters that control a text."""
    return "".join(one if one in "\n\t" else visible(one) for one in text)
