"""Hashed counts of n-grams in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array, hstack

from rmplug import DataError, text_of
from rmplug.models.deferred_imports import deferred_imports

from ._sklearn_names import NOT_CALLED

with deferred_imports(NOT_CALLED):
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.feature_extraction.text import HashingVectorizer

WORD = re.compile(r"\w+")
SHORTEST_CROSSED = 4


@dataclass(frozen=True)
class NgramRecipe:
    """The kinds of n-grams to count, and the settings of counting."""

    words: tuple[int, int] | None
    characters: tuple[int, int] | None
    cross_prompt: bool
    dimensions: int
    tf: str

    def __post_init__(self) -> None:
        if not (self.words or self.characters or self.cross_prompt):
            raise DataError(
                "ngram-head has nothing to count; set words, characters or cross_prompt"
            )
        for name in ("words", "characters"):
            span = getattr(self, name)
            if span and not 1 <= span[0] <= span[1]:
                raise DataError(f"{name} must be [shortest, longest] with 1 <= shortest <= longest")


def count_ngrams(recipe: NgramRecipe, prompts: pa.Array, responses: pa.Array) -> csr_array:
    """Count n-grams: shape (rows, dimensions for each kind of n-gram), one row per response."""
    texts = [text or "" for text in text_of(responses).to_pylist()]
    parts = [
        _hasher(recipe, analyzer, span).transform(texts)
        for analyzer, span in (("word", recipe.words), ("char_wb", recipe.characters))
        if span
    ]
    if recipe.cross_prompt:
        hasher = FeatureHasher(recipe.dimensions, input_type="string", alternate_sign=False)
        parts.append(hasher.transform(_crossed(last_messages(prompts), texts)))
    counts = csr_array(hstack(parts))
    counts.data = _term_frequency(counts.data.astype(float), recipe.tf)
    return counts


def last_messages(prompts: pa.Array) -> list[str]:
    """Return the content of each prompt's last message."""
    turns = prompts.to_pylist()
    return [(turn[-1]["content"] or "") if turn else "" for turn in turns]


def _hasher(recipe: NgramRecipe, analyzer: str, span: tuple[int, int]) -> HashingVectorizer:
    return HashingVectorizer(
        analyzer=analyzer,
        ngram_range=span,
        n_features=recipe.dimensions,
        alternate_sign=False,
        norm=None,
        token_pattern=r"\w+|[^\w\s]" if analyzer == "word" else None,
    )


def _crossed(prompts: Sequence[str], texts: Sequence[str]) -> Iterator[list[str]]:
    for prompt, text in zip(prompts, texts, strict=True):
        prompt_words = {w for w in WORD.findall(prompt.lower()) if len(w) >= SHORTEST_CROSSED}
        text_words = set(WORD.findall(text.lower()))
        yield [f"{a} {b}" for a in sorted(prompt_words) for b in sorted(text_words)]


def _term_frequency(counts: np.ndarray, tf: str) -> np.ndarray:
    if tf == "count":
        return counts
    values = np.ones_like(counts) if tf == "binary" else 1 + np.log(counts)
    return cast(np.ndarray, values)
