"""ROUGE-1, ROUGE-2 and ROUGE-L between texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import text_of
from rmplug.arrays import Array

from ._characters import ALONE

Score: TypeAlias = tuple[float, float, float]

_ALONE = "".join(f"{chr(first)}-{chr(last)}" for first, last in ALONE)
TOKENS = {
    "ascii": re.compile(r"[a-z0-9]+"),
    "words": re.compile(rf"(?=[{_ALONE}])\w|[^\W_{_ALONE}]+"),
}


def tokenize(text: str, tokens: str) -> list[str]:
    """Return the lower-cased tokens of a text: ``ascii`` or ``words``."""
    return TOKENS[tokens].findall(text.lower())


def score(common: int, first: int, second: int) -> Score:
    """Return F-measure, precision (of the first text) and recall (of the second)."""
    precision, recall = common / max(first, 1), common / max(second, 1)
    total = precision + recall
    return (2 * precision * recall / total if total else 0.0), precision, recall


def rouge_n(first: Sequence[str], second: Sequence[str], n: int) -> Score:
    """Compute the overlap of n-grams, each counted as often as both texts have it."""
    grams, others = (_ngrams(tokens, n) for tokens in (first, second))
    common = sum(min(count, others[gram]) for gram, count in grams.items() if gram in others)
    return score(common, grams.total(), others.total())


def _ngrams(tokens: Sequence[str], n: int) -> Counter[Any]:
    grams: Iterable[Any] = tokens if n == 1 else zip(*(tokens[i:] for i in range(n)), strict=False)
    return Counter(grams)


def rouge_l(first: Sequence[str], second: Sequence[str]) -> Score:
    """Compute ROUGE-L from the longest common subsequence."""
    return score(longest_common(first, second), len(first), len(second))


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, by bits per token (Hyyrö, 2004)."""
    masks: dict[str, int] = {}
    for position, token in enumerate(first):
        masks[token] = masks.get(token, 0) | (1 << position)
    full = (1 << len(first)) - 1
    unmatched = full
    for token in second:
        matches = unmatched & masks.get(token, 0)
        if matches:
            unmatched = ((unmatched + matches) | (unmatched - matches)) & full
    return len(first) - unmatched.bit_count()


SCORES = ("f", "precision", "recall")
ROUGE: dict[str, Callable[[Sequence[str], Sequence[str]], Score]] = {
    "rouge1": lambda first, second: rouge_n(first, second, 1),
    "rouge2": lambda first, second: rouge_n(first, second, 2),
    "rougeL": rouge_l,
}


@dataclass(frozen=True)
class RougeColumns:
    """The row-wise ROUGE of pairs of columns, as (name, column, other column)."""

    pairs: tuple[tuple[str, str, str], ...]
    measures: tuple[str, ...]
    scores: tuple[str, ...]
    tokens: str

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Array]:
        names = {column for _, *columns in self.pairs for column in columns}
        tokens = {name: self._tokens(batch.column(name)) for name in names}
        columns: dict[str, Array] = {}
        for name, first, second in self.pairs:
            for measure in self.measures:
                values = self._measure(measure, tokens[first], tokens[second])
                for score in self.scores:
                    suffix = "" if score == "f" else f"_{score}"
                    columns[f"{name}.{measure}{suffix}"] = values[:, SCORES.index(score)]
        return columns

    def _tokens(self, column: pa.Array) -> list[list[str]]:
        return [tokenize(text or "", self.tokens) for text in text_of(column).to_pylist()]

    def _measure(self, measure: str, first: list[list[str]], second: list[list[str]]) -> Array:
        triples = [ROUGE[measure](*both) for both in zip(first, second, strict=True)]
        return np.array(triples, dtype=np.float64).reshape(-1, 3)
