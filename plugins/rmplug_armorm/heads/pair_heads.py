"""Heads that need nothing but pairs: one per attribute, or one for quality and one for length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rmplug import (
    Checkpoint,
    Estimator,
    Features,
    Fit,
    Known,
    Pairs,
    Predictor,
    RewardModel,
    Trainer,
)

Positive = Annotated[float, Field(gt=0)]
Strength = Annotated[float, Field(ge=0)]
GRID = (1.0, 0.1, 0.01, 0.001, 0.0001)


class PairwiseHeads(Estimator):
    """Fit one reward head per attribute from pairs alone, each pair labelled for one attribute.

    ``states`` are those of `hidden-state` on the pairs (``chosen``, ``rejected``); the column
    ``by`` says which attribute a pair was judged for. Each head is Bradley-Terry on the differences
    of states of its own pairs: it minimises the mean of ``-log sigmoid(reward(chosen) -
    reward(rejected))`` plus ``l2 / 2`` times the squared weights, measured in units in which a
    difference has a mean square of 1 in each dimension; ``l2`` is the one with the least held-out
    loss in folds of whole groups (prompts). Columns ``weight`` and ``margin`` are not read.

    Numbers, one ``subset`` per attribute, on pairs held out, with 95 % intervals of a bootstrap
    over groups: ``accuracy`` (ties one half), ``log-loss`` (nats; 0.693 is chance), beside
    ``accuracy-of-longer``; then ``l2``, ``l2-at-edge``, ``pairs``, ``groups``.

    The fit ``predict``s a column per attribute and is saved as those of `multi-objective-ridge`, so
    that `gate` and `assemble` take it; a reward has no offset, only differences were learnt.
    """

    kind = "pairwise-heads"
    requires = ("scipy", "safetensors")
    extra = "tabular"

    by: str = "subset"
    """The text column that names the attribute of a pair; missing ones are left out and counted."""
    attributes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The attributes to fit; all that occur, in alphabetical order, unless given."""
    l2: tuple[Positive, ...] = Field(default=GRID, min_length=1)
    """Strengths of the penalty to choose from."""
    folds: int = Field(default=5, ge=2)
    """Folds of whole groups, at most one per group."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=self.attributes)

    def fit(self, states: Features, data: Pairs, *, seed: int, directory: Path) -> Fit:
        from ._pairwise import PairwiseSettings, fit

        settings = PairwiseSettings(self.by, self.attributes, self.l2, self.folds)
        return Fit(directory, type(self), fit(settings, states, data, seed, directory))

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._predictor import open_heads

        return open_heads(directory)


class OdinHead(Trainer):
    """Train a reward that is separate from length: one head for quality, one for length.

    Two linear heads on the states of a frozen encoder. Their sum learns the preferences, pair by
    pair (Bradley-Terry); the length head is drawn to follow the length of the response, the quality
    head to have nothing to do with it, and the two to be orthogonal. Used is the quality head:
    outputs ``reward`` (quality, the one that counts) and ``length``. With d the differences
    (chosen - rejected) of a pair, the loss is the mean of ``softplus(-(d quality + d length))``,
    plus ``length_strength * (1 - cos(d length, d characters))``, plus ``quality_strength *
    cos(d quality, d characters)²``, plus ``orthogonality * cos(weights, weights)²``, plus
    ``l2 / 2`` times the squared weights. ``cos`` over pairs is the correlation within pairs, about
    0, since either response could have been the first.

    Numbers, on pairs held out in folds of whole groups (each with the ``l2`` that is best on the
    others), with 95 % intervals of a bootstrap over groups: ``accuracy`` of the quality head (ties
    one half), ``accuracy-with-length`` of the sum, ``accuracy-of-longer``; each of the first two
    with ``-longer-chosen`` and ``-shorter-chosen``; ``length-correlation`` (within pairs) of the
    quality head, ``length-correlation-with-length`` of the sum, ``length-correlation-of-length`` of
    the length head. Then ``l2``, ``l2-at-edge``, ``pairs``, ``groups``.

    Saved as `config.json` and `heads.safetensors`; `reward-head` loads it. Source: Chen et al.
    2024, arXiv 2402.07319.
    """

    kind = "odin-head"
    requires = ("scipy", "safetensors")
    extra = "hf"

    measure: Literal["characters", "words"] = "characters"
    """The unit of the length of a response."""
    length_strength: Strength = 1.0
    """Weight of the loss that makes the length head follow length."""
    quality_strength: Strength = 1.0
    """Weight of the loss that keeps the quality head from following length."""
    orthogonality: Strength = 1.0
    """Weight of the loss that keeps the heads orthogonal."""
    l2: tuple[Positive, ...] = Field(default=GRID, min_length=1)
    """Strengths of the penalty to choose from, in units in which a difference of states has a mean
    square of 1 in each dimension."""
    folds: int = Field(default=5, ge=2)
    """Folds of whole groups, at most one per group."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward", "length"))

    @classmethod
    def foresee_folder(cls, directory: Path) -> Known:
        return Known(outputs=("reward", "length"))

    def train(
        self,
        model: RewardModel,
        data: Pairs,
        states: Features | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Checkpoint:
        from ._odin import OdinSettings, train

        settings = OdinSettings(
            self.measure,
            self.length_strength,
            self.quality_strength,
            self.orthogonality,
            self.l2,
            self.folds,
        )
        numbers = train(settings, model.open(), data, states, seed, directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        from ._odin import open_odin

        return open_odin(directory, changed)
