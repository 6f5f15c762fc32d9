"""The estimator that tells what explains a reward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Features, Fit, Known, Names, Pairs, Responses
from rmplug_tabular.estimators import TableEstimator

LEVEL = 0.05
STRENGTHS = (1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 30.0)


class Explain(TableEstimator):
    """Tell what explains a reward: shares of families of features, a sparse sum, surprises, drift.

    ``target`` is any number: a reward, a margin, a loss. A *family* is a step of ``features``, a
    vector of one, or what ``families`` names. All R² are those of ridge regressions on held-out
    prompts; the penalty is one for all families, each of them scaled to the same size as a whole,
    and its strength is chosen on the other folds. Given for three parts: ``all`` rows as they are,
    ``between`` prompts (means of each prompt's rows, weighed by their number) and ``within``
    prompts (deviations from these means); for margins ``within`` only, since a margin is a
    difference within a prompt. A mean of few rows still holds some of what differs within.

    R² is by how much the squared errors are below those of the mean of the other folds. A share is
    what models that learn from as many prompts reach on new ones, not what endless data would show:
    trees of 1,500 pairs reached 85 to 90 % of an interaction of two features in
    ``benchmarks/explain.py``.

    Numbers, with 95 % intervals from the variance over prompts: ``r2`` of all families on all rows;
    for each part ``r2-together``, ``r2-alone`` of each family, ``r2-unique`` (together minus
    together without it), ``r2-shared`` (together minus all unique shares; below 0 where families
    help each other), ``l2``; with trees ``r2-with-trees`` and ``r2-interaction`` (what they add to
    ridge); ``variance-between``, ``variance-within`` (shares of the sum of squares) and
    ``intraclass-correlation``. p-values are from targets permuted so that whole prompts change
    places with prompts of as many rows, and rows change places in their prompt; for unique shares
    the errors of the other families are permuted, for interactions those of ridge. ``p_holm`` is
    corrected for the number of families, ``null_high`` is what 95 % of permuted targets stay below.
    With ``data``: curves ``drift`` of target and residual by the turns before the response, and
    ``drift-per-turn``.

    Tables: ``shares`` (``part``, ``share``, ``family``, ``value``, ``low``, ``high``, ``n``,
    ``null_high``, ``p``, ``p_holm``, ``beyond_chance``); ``sparse`` (an elastic net of the features
    that are single numbers, for each part: ``feature``, ``coefficient`` of a refit, in units of the
    target per standard deviation of the feature in that part, ``low``, ``high``, ``chosen``: the
    share of halves of the prompts in which it is chosen, ``same_sign``: the share of these with the
    commoner sign, ``stable``, ``strength``: how far above the penalty it stands by itself, 1 is
    just chosen); ``surprises`` (the largest held-out residuals, each with its nearest rows of other
    prompts, ``distance`` by cosine of the widest vector, else of standardised features); ``rows``.
    The fit ``predict``s ``prediction`` by the regression of all rows. Saved as JSON, trees as
    LightGBM's text model. The sums behind the regressions take memory by the square of the numbers
    of the features, 2,048 at most.
    """

    kind = "explain"
    requires = ("lightgbm", "scikit-learn", "scipy", "skops")

    folds: int = Field(default=10, ge=2)
    """Folds of cross-validation, at most one per group; rows of a group (prompt) stay together."""
    families: dict[str, Names] = Field(default_factory=dict)
    """Families by name, with patterns on joined names: ``{length: [words.*.characters,
    words.*.words]}``. What they leave of a step is a family of its own."""
    target_is: Literal["auto", "score", "margin"] = "auto"
    """Whether a row of the target is a response's ``score`` or a pair's ``margin``, which lies
    within a prompt as a whole; ``auto`` goes by the column's name."""
    model: Literal["ridge", "lightgbm"] = "ridge"
    """``lightgbm`` adds boosted trees that learn the errors of ridge: interactions and curves."""
    rounds: int = Field(default=200, ge=1)
    """Trees of ``lightgbm``."""
    tree_permutations: int = Field(default=39, ge=19)
    """Permuted errors that trees learn anew for the p-value of the interaction."""
    strengths: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = STRENGTHS
    """Strengths of the penalty to try, relative to the number of rows and the size of a family."""
    permutations: int = Field(default=200, ge=19)
    """Permuted targets for p-values and for the penalty of the sparse explanation."""
    resamples: int = Field(default=100, ge=10)
    """Halves of the prompts that the sparse explanation is fitted to."""
    stability: float = Field(default=0.8, gt=0.5, le=1)
    """The share of halves in which a feature has to be chosen to count as stable."""
    l1_ratio: float = Field(default=0.9, gt=0, le=1)
    """The share of the lasso's penalty in the elastic net; 1 is the lasso."""
    missing: Literal["error", "drop", "impute-median"] = "error"
    """Missing (or infinite) features: refuse; drop the row; put the median of all rows. Rows
    without a target are dropped unless ``error``."""
    surprises: int = Field(default=10, ge=1)
    """The number of rows with the largest residuals in ``surprises``."""
    neighbours: int = Field(default=3, ge=1)
    """The number of nearest rows beside each of them."""

    def are_margins(self, column: str) -> bool:
        """Check whether the target is a pair's margin."""
        if self.target_is == "auto":
            return column.partition(".")[0] == "margin"
        return self.target_is == "margin"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("prediction",))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        yield from super().mistakes(inputs)
        features = inputs["features"]
        if all(one.columns is not None for one in features):
            names = [f"{one.step}.{name}" for one in features for name in one.columns or ()]
            yield from self._wrong_families(names)
        least = max(len(self.families), len(features))
        if least / (self.permutations + 1) > LEVEL:
            enough = round(least / LEVEL) - 1
            yield (
                "permutations",
                f"with {self.permutations} permutations no p-value of {least} families can fall "
                f"below {LEVEL} after Holm's correction; set at least {enough}",
            )

    def _wrong_families(self, names: Sequence[str]) -> Iterable[tuple[str, str]]:
        """List patterns that fit no feature, and features that are in two families."""
        owner: dict[str, str] = {}
        for family, patterns in self.families.items():
            for pattern in patterns:
                fitting = [name for name in names if fnmatchcase(name, pattern)]
                if not fitting:
                    yield f"families.{family}", f"no feature matches {pattern!r}"
                twice = [name for name in fitting if owner.setdefault(name, family) != family]
                if twice:
                    yield (
                        f"families.{family}",
                        f"{twice[0]} is in {owner[twice[0]]} too; a feature belongs to one family",
                    )

    def fit(
        self,
        features: Sequence[Features],
        target: Features,
        data: Pairs | Responses | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Fit:
        from ._explaining import explain

        fitted = explain(self, features, target, data, seed, directory)
        return Fit(directory, type(self), fitted.numbers, fitted.tables)
