"""Attribute rewards freed of a confound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Estimator, Features, Fit, Known, Predictor


class Debias(Estimator):
    """Fit what frees attribute rewards of a confound, such as verbosity or measured length.

    ``rewards`` has a column per attribute (from `predict` with the heads, or any other rewards);
    what they are freed of is one or more of these attributes, or columns of ``measures``, such as
    ``words.response.characters``, of the same rows. The penalty of an attribute is what must be
    taken away, in units of the confound, so that their rank correlation is within ``tolerance`` of
    0, whichever sign it had; several confounds are taken away together. Attributes that are a
    confound become 0.

    Numbers, one ``subset`` per attribute and confound: ``correlation-before`` and
    ``correlation-after`` (Spearman) on rows of groups (prompts) that were held out when the
    penalties were fitted, with 95 % intervals of a bootstrap over groups; ``penalty`` from all
    rows.

    The fit ``predict``s the rewards after, from the same columns. Saved as `transform.safetensors`,
    a matrix of which the rewards before are multiplied from the left, and `transform.json`.
    """

    kind = "debias"
    requires = ("scipy", "safetensors")
    extra = "tabular"

    against: tuple[str, ...] = Field(min_length=1, examples=[("helpsteer-verbosity",)])
    """The confounds: attributes of ``rewards``, or columns of ``measures`` by their
    joined names."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Greatest distance of the rank correlation from 0; with ``compat``, its greatest value, while
    any correlation below 0 is accepted."""
    folds: int = Field(default=5, ge=2)
    """Folds of whole groups, for the correlations on rows held out."""
    compat: Literal["original"] | None = None
    """``original``: the published rule. Against one attribute only, the penalty is the first of 24
    from 0 to 0.95 with a correlation of at most ``tolerance``, 1 if there is none; correlations
    that are negative stay."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        columns = inputs["rewards"][0].columns
        return Known(outputs=None if columns is None else tuple(columns))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for name in self.against:
            step, _, column = name.partition(".")
            for one in inputs.get("measures", ()):
                lacking = one.lacks(column) if one.step == step else None
                if lacking:
                    yield "against", lacking

    def fit(
        self,
        rewards: Features,
        measures: Sequence[Features] | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Fit:
        from ._debiasing import DebiasSettings, fit

        settings = DebiasSettings(self.against, self.tolerance, self.folds, self.compat)
        return Fit(directory, type(self), fit(settings, rewards, measures, seed, directory))

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._debiased_rewards import open_transform

        return open_transform(directory)
