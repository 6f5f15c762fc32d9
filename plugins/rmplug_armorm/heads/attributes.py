"""Attribute rewards: one head per rated attribute on the states of a frozen model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rmplug import Estimator, Features, Fit, Known, Predictor, Responses

Positive = Annotated[float, Field(gt=0)]


class Attribute(BaseModel):
    """The column of an attribute's labels, and the least and greatest value in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    column: str = Field(examples=["ratings.helpfulness"])
    """The numeric column of labels; missing ones are left out."""
    low: float = Field(default=0.0, allow_inf_nan=False)
    """The least label that is possible; it is learnt as 0."""
    high: float = Field(default=1.0, allow_inf_nan=False)
    """The greatest label that is possible; it is learnt as 1."""
    of: str | None = None
    """The step whose labels are meant, where several data sets have this column; else all have."""

    @model_validator(mode="after")
    def _check(self) -> Attribute:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class MultiObjectiveRidge(Estimator):
    """Fit one reward head per rated attribute on a model's states, from labels that may be missing.

    Takes the states of responses (one `hidden-state` step per data set) and the data that have
    their ratings, in the same order; attributes may be rated in some data sets only. For each
    attribute ridge regression of the scaled label on the state, from one Gram matrix: the states
    are read once to learn and once to measure, a batch at a time, and memory does not grow with
    their number. Wide states in float32 have a Gram matrix in float32, and are read once or twice
    more to make the weights as precise as from one in float64, which is taken where that fails
    (held-out errors of strengths are then right to a thousandth, and far nearer where the strength
    is not the least). An attribute with no more labels to learn from than dimensions (than half of
    them, for states in float64) is learnt from the products of its states with each other, to the
    same weights, in less time and no more memory. The strength ``alpha`` is chosen by held-out
    squared error, in folds of whole groups (prompts), and the heads are fitted again on all rows.

    Numbers, one ``subset`` per attribute, on rows held out (each fold with the ``alpha`` that is
    best on the other folds): ``mse`` (of labels scaled to 0 … 1), ``r2``, ``spearman``, with 95 %
    intervals of a bootstrap over groups; beside them ``mse-of-mean``, and where the texts are at
    hand ``mse-of-length`` and ``spearman-of-length``, of a fit on the length of the response alone;
    then ``alpha``, ``alpha-at-edge`` (1 when a wider grid may do better), ``labels``, ``groups``.
    Table ``losses``: held-out error by attribute and alpha.

    The fit ``predict``s one column per attribute: its reward, 0 at the least label and 1 at the
    greatest. Saved as `heads.safetensors` and `heads.json`. Source: Wang et al. 2024,
    arXiv 2406.12845, section 3.1.
    """

    kind = "multi-objective-ridge"
    requires = ("scipy", "safetensors")
    extra = "tabular"

    attributes: dict[str, Attribute] = Field(min_length=1)
    """The attributes by name: ``{helpfulness: {column: ratings.helpfulness, low: 0, high: 4}}``."""
    state: str | None = None
    """The column of the states; may be left out where there is one vector, or one `response`."""
    alphas: tuple[Positive, ...] | None = Field(default=None, min_length=1)
    """Strengths to choose from, in units in which a state (centred) has a mean squared length of 1,
    so that one grid fits all models: 1e-6 … 10 unless given. With ``compat`` added to the diagonal
    of the Gram matrix as they are: 1e-4 … 1e4 unless given."""
    intercept: bool = True
    """Learn an offset, which is not penalised; never with ``compat``."""
    folds: int = Field(default=5, ge=1)
    """Folds of whole groups; 1: a fifth of the groups is held out once, for a fifth of the work."""
    compat: Literal["original"] | None = None
    """``original``: as the published script does it. A fifth of the rows, whatever their prompt, is
    held out by its random state 42, there is no intercept, and nothing is fitted again."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=tuple(self.attributes))

    def fit(
        self,
        states: Sequence[Features],
        data: Sequence[Responses | Features],
        *,
        seed: int,
        directory: Path,
    ) -> Fit:
        from ._labels import LabelColumn
        from ._ridge import RidgeSettings, fit

        settings = RidgeSettings(
            attributes={
                name: LabelColumn(label.column, label.low, label.high, label.of)
                for name, label in self.attributes.items()
            },
            state=self.state,
            alphas=self.alphas,
            intercept=self.intercept,
            folds=self.folds,
            compat=self.compat,
        )
        numbers, tables = fit(settings, states, data, seed, directory)
        return Fit(directory, type(self), numbers, tables)

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._predictor import open_heads

        return open_heads(directory)
