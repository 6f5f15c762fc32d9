"""The trainer: a reward model of n-grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rmplug import (
    Checkpoint,
    Known,
    Pairs,
    RewardModel,
    Trainer,
)

NgramRange = Annotated[tuple[int, int], Field(description="shortest and longest")]
Positive = Annotated[float, Field(gt=0)]


class NgramHead(Trainer):
    """Train a reward model in seconds: Bradley-Terry regression on word and character n-grams.

    The reward is linear in hashed n-grams of the response (``log`` counts by default). Weights
    minimise the mean of ``-log sigmoid(reward(chosen) - reward(rejected) - margin)`` plus
    ``l2 / 2`` times the sum of their squares; a ``weight`` column weighs pairs, a ``margin`` column
    is the lead that the chosen response must have (both optional; numbers count each pair once and
    ask for no lead). ``l2`` is the value of the grid with the least held-out log-loss in
    cross-validation by group, tried from the greatest down until two in a row are no better.
    Numbers, held out: ``accuracy`` (ties one half), ``log-loss`` (nats;
    0.693 is chance) with 95 % intervals from the variance over groups, where each fold's ``l2`` is
    chosen on the other folds; ``accuracy-of-longer``, the length baseline; ``l2``, ``l2-at-edge``
    (1 when a wider grid may do better), ``folds``, ``groups``, ``identical`` (pairs whose two texts
    are the same, which teach nothing), ``weights`` (that are not 0). Saved as JSON and Parquet.
    """

    kind = "ngram-head"
    requires = ("scikit-learn", "scipy")
    extra = "tabular"

    words: NgramRange | None = (1, 2)
    """Shortest and longest word n-gram (a punctuation mark is a word); null for none."""
    characters: NgramRange | None = (3, 5)
    """Shortest and longest character n-gram inside words; null for none."""
    cross_prompt: bool = False
    """Also pair each longer word of the last prompt message with each word of the response."""
    dimensions: int = Field(default=2**18, ge=2)
    """Size of the hashed space for each sort of n-gram."""
    tf: Literal["sublinear", "binary", "count"] = "sublinear"
    """The value of an n-gram that occurs ``c`` times: ``1 + log c``, 1, or ``c``."""
    l2: tuple[Positive, ...] = Field(
        default=(10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), min_length=1
    )
    """Grid of strengths of regularisation."""
    folds: int = Field(default=5, ge=2)
    """Folds of cross-validation, at most one per group; pairs of a prompt stay together."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    def train(self, data: Pairs, *, seed: int, directory: Path) -> Checkpoint:
        from ._ngram_head import NgramRecipe, train

        recipe = NgramRecipe(
            self.words, self.characters, self.cross_prompt, self.dimensions, self.tf
        )
        numbers = train(data, recipe, self.l2, self.folds, seed, directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        from ._ngram_head import open_head

        return open_head(directory)
