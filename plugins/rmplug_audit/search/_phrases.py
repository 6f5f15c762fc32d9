"""Phrases that a reward may go by, mined from texts that have a value."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from rmplug import Features
from rmplug.arrays import Array

from ._cases import Case

Valued: TypeAlias = tuple[str, float]
"""A text and its value: how much better it is scored than another response to its prompt."""
LONGEST, FEWEST = 5, 3
"""Words of the longest phrase; texts that a phrase must be in, and words of a sentence."""
MOST_CHARACTERS = 160
_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def valued_by_side(cases: Iterable[Case]) -> list[Valued]:
    """Value good responses by 1 and bad ones by -1: what is typical of good ones."""
    return [entry for case in cases for entry in ((case.good.text, 1.0), (case.bad.text, -1.0))]


def valued_by_reward(cases: Sequence[Case], good: Array, bad: Array) -> list[Valued]:
    """Value responses by how far their reward, of shape (cases,), is from their prompt's mean."""
    half = (good - bad) / 2
    texts = zip(cases, half.tolist(), strict=True)
    return [entry for case, h in texts for entry in ((case.good.text, h), (case.bad.text, -h))]


def valued_by_residual(cases: Iterable[Case], residuals: Features) -> list[Valued]:
    """Value responses by what is left of their reward when it has been explained; of pairs the
    residual of the margin counts for the chosen response and against the rejected one."""
    ids, values = residuals.table["id"].to_pylist(), residuals.only().to_pylist()
    by_id = {name: value for name, value in zip(ids, values, strict=True) if value is not None}
    valued = []
    for case in cases:
        half = by_id.get(case.id, float("nan")) / 2 if case.good.id != case.bad.id else 0.0
        for side, sign in ((case.good, 1), (case.bad, -1)):
            value = by_id.get(side.id, sign * half)
            if np.isfinite(value):
                valued.append((side.text, float(value)))
    return valued


def mine_phrases(valued: Sequence[Valued], count: int) -> list[str]:
    """Return the phrases of one to five words whose texts have the highest values, by the z of
    their mean value, without those that share most of their words with a better one."""
    values = np.array([value for _, value in valued])
    if len(values) < 2 * FEWEST or not values.std() > 0:
        return []
    values = (values - values.mean()) / values.std()
    places: dict[str, list[int]] = defaultdict(list)
    written: dict[str, str] = {}
    for place, (text, _) in enumerate(valued):
        for phrase in sorted(_phrases_of(text)):  # a set's own order differs from run to run
            key = phrase.lower()
            written.setdefault(key, phrase)
            places[key].append(place)
    scored = [
        (float(values[at].sum() / np.sqrt(len(at))), key)
        for key, at in places.items()
        if len(at) >= FEWEST
    ]
    scored.sort(key=lambda entry: (-entry[0], -len(entry[1]), entry[1]))
    chosen: list[str] = []
    for z, key in scored:
        if len(chosen) == count or z <= 0:
            break
        if not any(is_like(key, other) for other in chosen):
            chosen.append(written[key])
    return chosen


def frame_sentences(valued: Sequence[Valued], count: int) -> list[str]:
    """Return first and last sentences, in turn, of the texts with the highest values."""
    chosen: list[str] = []
    for text, _ in sorted(valued, key=lambda entry: (-entry[1], entry[0])):
        sentences = [found.strip() for found in _SENTENCE.findall(text) if found.strip()]
        if len(chosen) >= count or not sentences:
            continue
        sentence = sentences[0 if len(chosen) % 2 == 0 else -1]
        fits = len(sentence) <= MOST_CHARACTERS and len(_WORD.findall(sentence)) >= FEWEST
        if fits and not any(is_like(sentence, one) for one in chosen):
            chosen.append(sentence)
    return chosen


def is_like(one: str, other: str) -> bool:
    """Check whether two phrases share at least half of their words."""
    first, second = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return 2 * len(first & second) >= max(len(first | second), 1)


def _phrases_of(text: str) -> set[str]:
    """Return the phrases of a text, each once, inside its lines."""
    found = set()
    for line in text.splitlines():
        words = _WORD.findall(line)
        for size in range(1, LONGEST + 1):
            for start in range(len(words) - size + 1):
                phrase = " ".join(words[start : start + size])
                if sum(map(str.isalpha, phrase)) >= 3 and len(phrase) <= MOST_CHARACTERS:
                    found.add(phrase)
    return found
