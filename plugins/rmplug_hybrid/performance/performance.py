"""The estimator that learns what human labels are worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from rmplug import Estimator, Features, Fit, Known, Metrics, Predictor, Selection

LOWER = ("log-loss", "ece", "brier", "mse", "rmse", "mae")


class PerformanceModel(Estimator):
    """Predict how good a reward model will be from which pairs have a human label.

    ``candidates`` has one row per set of human labels that was tried: ``id``, ``size`` (human
    labels; else ``budget``) and ``count.<feature>``, how many of them have each feature.
    ``results`` tells how good the proxy of each candidate is: metrics collected by a ``for-each``
    over the candidates (the mean over seeds, where there are several), or a ``column`` of features
    with their ids, or of the candidates themselves. Rows with a missing number are dropped and
    named.

    By default counts are deviations from what a set's size lets expect, each in its standard
    deviation, and the size is not penalised: the more the weights are shrunk, the more the model is
    the count-only baseline, a polynomial of the size, which is always fitted beside it.
    Strengths of regularisation are chosen inside each fold (leave-one-out for ridge, linear and
    quadratic; five folds for elastic net).

    Numbers, held out, in ``repeats`` times ``folds``-fold cross-validation, for the model and for
    ``count-only``: ``rmse`` (units of the result), ``r2`` (0: no better than the mean),
    ``spearman`` (-1 to 1); ``difference`` is the model's minus the baseline's, paired, with a
    sentence that says whether the features add anything. Intervals are of a bootstrap over
    candidates; they do not tell how far another set of candidates would lead, nor, where proxies
    are all measured on the same pairs, what other pairs would say: few pairs can be learnt by
    heart. Also ``strength``, ``candidates``, ``features``.

    Tables: ``coefficients`` (result per label: what any label adds, then what each feature adds to
    that; the middle 95 % of the weights of random halves of the candidates, which are shrunk as
    those of the whole), ``rows``, ``terms`` of the quadratic, ``importance`` of LightGBM.
    ``predict`` gives ``prediction``, ``low`` and ``high``: a 95 % interval for the result (CV+:
    Barber et al., 2021, Annals of Statistics 49).

    ``compat: original`` is the published rule (Hybrid Preferences, arXiv 2410.19133): raw counts
    and no size, plain least squares (of minimum norm), all products of two counts for
    ``quadratic``, LightGBM's settings; learned from a random 80 % of the candidates. Then also
    ``rmse-of-split`` by share of the training candidates, ``mse-of-split`` and ``intercept``.
    """

    kind = "performance-model"
    requires = ("scikit-learn", "scipy", "lightgbm")
    extra = "tabular"

    model: Literal["ridge", "elastic-net", "linear", "quadratic", "lightgbm"] = "ridge"
    """Ridge regression; half L1, half L2; no penalty; ridge with all products of two features;
    boosted trees."""
    compat: Literal["original"] | None = None
    """``original``: as published (``linear``, ``quadratic`` or ``lightgbm``)."""
    metric: str = "accuracy"
    """The metric that is predicted, where ``results`` are metrics. The ``log-loss`` of the same
    pairs often tells sets of labels apart that ``accuracy``, which counts whole pairs, does not."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which the result is good; unless given, ``lower`` for ``log-loss``, ``ece``,
    ``brier`` and errors (``mse``, ``rmse``, ``mae``), ``higher`` for all else. Of one that is good
    when it is low, minus the result is predicted."""
    subset: str = "all"
    """Its subset."""
    result_of: str | None = None
    """The model that was measured, where results have several."""
    column: str | None = Field(default=None, examples=["Overall"])
    """The column that is predicted, where results are features."""
    include: tuple[str, ...] = ("count.*", "*::*")
    """Patterns of columns that count features; the first one that any column matches is used."""
    size_degree: int = Field(default=2, ge=1, le=5)
    """Degree of the polynomial of the size: 1 says that every label is worth the same."""
    folds: int = Field(default=10, ge=2)
    """Folds of cross-validation."""
    repeats: int = Field(default=5, ge=1)
    """Number of times that the candidates are split into folds."""
    splits: int = Field(default=25, ge=1)
    """Number of times that the candidates are halved at random, for intervals of coefficients, and
    so that `route` can value on one half what it chose on the other."""
    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples of candidates behind each interval."""
    split_seed: int = Field(default=42, ge=0)
    """With ``compat: original``, the seed of the 80 % of candidates that are learned from."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs.get("results", ()):
            lacking = one.lacks_metric(self.metric)
            yield from [("metric", lacking)] if lacking else []
        for one in inputs.get("results") or inputs["candidates"]:
            if self.column is not None and not one.is_a(Metrics):
                lacking = one.lacks(self.column)
                yield from [("column", lacking)] if lacking else []

    def _lower_is_better(self) -> bool:
        if self.better is not None:
            return self.better == "lower"
        return self.column is None and self.metric in LOWER

    def fit(
        self,
        candidates: Features | Selection,
        results: Metrics | Features | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Fit:
        from ._candidate_table import WantedResult
        from ._fitting import LearningSettings, fit

        original = self.compat == "original"
        wanted = WantedResult(
            self.metric,
            self.subset,
            self.result_of,
            self.column,
            self.include,
            not original,
            self._lower_is_better(),
        )
        settings = LearningSettings(
            self.model,
            original,
            self.size_degree,
            self.folds,
            self.repeats,
            self.splits,
            self.resamples,
            self.split_seed,
        )
        numbers, tables = fit(candidates, results, wanted, settings, seed, directory)
        return Fit(directory, type(self), numbers, tables)

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._ensemble import open_ensemble

        return open_ensemble(directory)
