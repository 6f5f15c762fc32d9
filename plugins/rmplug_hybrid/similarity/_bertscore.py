"""BERTScore of the two responses of each pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import notice
from rmplug.arrays import Array

from ._texts import read_texts
from ._token_matcher import SIDES, TokenMatcher

PARTS = ("bertscore_precision", "bertscore_recall", "bertscore")
WORDS = {"punctuation": re.compile(r"\w+|[^\w\s]"), "whitespace": re.compile(r"\S+")}
EMPTY = "response without a token that has weight: BERTScore 0"


@dataclass(frozen=True)
class TokenComparison:
    """A row-wise computation of the scores of a batch's pairs."""

    scores: tuple[str, ...]
    words: str

    def __call__(self, matcher: TokenMatcher, batch: pa.RecordBatch) -> dict[str, Array]:
        ids = batch.column("id").to_pylist()
        chosen, rejected = (read_texts(batch, side) for side in SIDES)
        first, second = (matcher.tokens(texts, ids) for texts in (chosen, rejected))
        same = [a.strip() == b.strip() for a, b in zip(chosen, rejected, strict=True)]
        scores = np.ones((len(ids), 3))
        differ = np.flatnonzero(~np.array(same, dtype=bool))
        scores[differ] = matcher.compare([first[n] for n in differ], [second[n] for n in differ])
        notice(EMPTY, [ids[n] for n in differ if not matcher.has_weight(first[n], second[n])])
        columns = dict(zip(PARTS, scores.T, strict=True))
        if "bertscore_length" in self.scores:
            columns["bertscore_length"] = adjust_for_length(
                columns["bertscore"], chosen, rejected, self.words
            )
        return {name: columns[name] for name in dict.fromkeys(self.scores)}


def adjust_for_length(
    scores: Array, first: Sequence[str], second: Sequence[str], words: str
) -> Array:
    """Lower scores where the text with more characters has more words than the other."""
    pattern = WORDS[words]
    counts = np.array(
        [
            [len(pattern.findall(text)) for text in ((a, b) if len(a) > len(b) else (b, a))]
            for a, b in zip(first, second, strict=True)
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    longer, shorter = counts.T
    ratio = np.divide(longer, shorter, out=np.full(len(counts), np.inf), where=shorter > 0)
    adjusted: Array = scores * np.exp(1 - ratio)
    return adjusted
