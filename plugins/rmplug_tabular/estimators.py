"""The estimators: those of scikit-learn by name, and LightGBM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from rmplug import (
    Estimator,
    Features,
    Fit,
    Known,
    Predictor,
)
from rmplug.errors import did_you_mean, some
from rmplug.known import joined_twice


class TableEstimator(Estimator):
    """The parameters of every estimator on joined features: which of them, and folds."""

    extra = "tabular"

    include: tuple[str, ...] = ("*",)
    """Features to learn from: patterns on joined names, such as ``words.difference.*``."""
    exclude: tuple[str, ...] = ()
    """Features to leave out, by pattern; wins over ``include``."""
    folds: int = Field(default=5, ge=2)
    """Folds of cross-validation, at most one per group; rows of a group (prompt) stay together."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        twice, target = joined_twice(inputs["features"]), inputs["target"][0]
        if twice:
            yield "features", twice
        if target.columns is not None and len(target.columns) > 1:
            names = some((f"{target.step}.{name}" for name in target.columns), 8)
            yield "target", f"{target.step} gives several columns; name one: {names}"

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._fit_files import open_fit

        return open_fit(directory)


class TabularEstimator(TableEstimator):
    """The parameters of estimators that learn one model: threshold, importance, dependence."""

    threshold: float | None = None
    """For a classifier: learn whether the target is above this number instead of its values."""
    importance_repeats: int = Field(default=5, ge=1)
    """The number of shuffles per feature and held-out fold for its permutation importance."""
    dependence: int = Field(default=6, ge=0)
    """Partial dependence is given for this many of the most important features that are numbers."""

    def _settings(self, **more: Any) -> dict[str, Any]:
        return {
            "include": self.include,
            "exclude": self.exclude,
            "threshold": self.threshold,
            "folds": self.folds,
            "repeats": self.importance_repeats,
            "dependence": self.dependence,
            **more,
        }


class Sklearn(TabularEstimator):
    """Explain a number by features with any regressor or classifier of scikit-learn.

    The rows of ``features`` and ``target`` are matched by id; a vector counts as one feature in
    ``importance``. Numbers are out of fold, in cross-validation by group, each with a 95 % interval
    from the variance over groups, wider where groups are few: ``r2`` (1 is perfect, 0 no better
    than the mean), ``spearman`` (-1 to 1), ``mae`` (units of the target), ``mae-of-mean`` (the
    error of predicting the mean); for classifiers ``auc`` (two classes), ``accuracy``, ``log-loss``
    (nats, when the classifier gives probabilities), and their floors ``accuracy-of-majority`` and
    ``log-loss-of-base-rate``, for more classes ``accuracy-over-majority``; then
    ``better-than-chance`` (1 where the interval of R², Spearman's correlation, AUC or
    ``accuracy-over-majority`` lies above chance, else 0: importances of such a fit say nothing),
    ``folds``, ``groups``, ``features``. Spearman and AUC go by each row's rank among the scores
    that its fold's model gives to all rows, since models of different folds differ in level and
    spread. Tables: ``importance`` (drop of held-out R², AUC or accuracy when a feature is shuffled;
    the interval is from the folds, by Nadeau and Bengio, 2003), ``coefficients`` of linear models
    (per standard deviation of the feature, intervals by refits on bootstrap samples of groups),
    ``dependence`` and ``rows``. Linear models do without features that others add up to exactly
    (a sum beside its parts), which a notice names, since they would share out an effect by chance;
    of such features those stay that correlate most with the target. The fit ``predict``s one column
    ``prediction``: the number, the probability of the higher of two classes (a decision value when
    the classifier gives none), or the likeliest of more classes, with ``probability.<class>``.
    Linear fits are saved as JSON, others in skops format; loading checks their types. Everything
    runs on one thread, so that results do not depend on the machine's cores.
    """

    kind = "sklearn"
    requires = ("scikit-learn", "scipy", "skops")

    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$")
    """Class name of a scikit-learn regressor or classifier: ``GradientBoostingRegressor``, …"""
    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Its parameters; ``random_state`` is by default the run's seed. Where an estimator is needed,
    write ``{name: Ridge, args: {alpha: 1.0}}``."""
    standardise: bool | None = None
    """Centre and scale each feature; by default for all but trees, naive Bayes, isotonic, dummy."""
    missing: Literal["error", "drop", "impute-median", "keep"] = "error"
    """Missing (or infinite) features: refuse; drop the row (it gets no prediction); put the
    training rows' median; keep, for estimators that take NaN. Rows without a target are dropped
    unless ``error``."""
    refits: int = Field(default=100, ge=0)
    """Refits for the intervals of coefficients, when rows times numbers are at most 2,000,000."""

    @field_validator("name")
    @classmethod
    def _is_public(cls, name: str) -> str:
        from ._sklearn_names import public_names

        if public_names() and name not in public_names():
            hint = did_you_mean(name, public_names())
            raise ValueError(f"scikit-learn has no estimator {name!r}{hint}")
        return name

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._sklearn_names import wrong_args

        yield from super().mistakes(inputs)
        yield from (("args", message) for message in wrong_args(self.name, self.args))

    def fit(
        self, features: Sequence[Features], target: Features, *, seed: int, directory: Path
    ) -> Fit:
        from ._cross_validation import Settings
        from ._estimation import estimate
        from ._sklearn_models import SklearnLearner

        learner = SklearnLearner(self.name, self.args, self.standardise)
        settings = Settings(**self._settings(missing=self.missing, refits=self.refits))
        fitted = estimate(learner, settings, features, target, seed, directory)
        return Fit(directory, type(self), fitted.numbers, fitted.tables)


class LightGBM(TabularEstimator):
    """Explain a number by features with LightGBM's boosted trees, and each row by SHAP values.

    Rows, folds, numbers, ``dependence`` and ``rows`` are as for ``sklearn``. ``importance`` is the
    mean |SHAP value| (units of the raw score; above 0 by construction), beside ``gain``
    (share of the loss that splits on the feature took away) and ``permutation`` (drop of held-out
    R², AUC or accuracy when shuffled). ``shap``, for numbers and two classes, has for each row
    ``id``, ``base`` and what each feature adds to its raw score; they add up to it. Training is
    deterministic and does not depend on the number of threads. Saved as LightGBM's text model.
    """

    kind = "lightgbm"
    requires = ("lightgbm", "scikit-learn", "scipy", "skops")
    neutral = frozenset({"threads"})

    objective: Literal[
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "poisson",
        "quantile",
        "mape",
        "gamma",
        "tweedie",
        "cross_entropy",
        "binary",
        "multiclass",
    ] = "regression"
    """The loss that is minimised; ``binary`` and ``multiclass`` classify, the others predict a
    number."""
    rounds: int = Field(default=100, ge=1)
    """Trees (per class), at most this many with ``early_stopping``."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Stop when the loss on a fifth of the training groups has not improved for this many rounds;
    the final fit takes as many rounds as the folds did at the median."""
    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Further parameters of LightGBM, such as ``{num_leaves: 15, min_data_in_leaf: 20}``."""
    missing: Literal["error", "drop", "impute-median", "keep"] = "keep"
    """Missing features: LightGBM learns from them as they are (``keep``), or as for ``sklearn``."""
    importance_repeats: int = Field(default=1, ge=1)
    """The number of shuffles of each feature in each held-out fold for ``permutation``."""
    shap_rows: int = Field(default=5000, ge=1)
    """SHAP values are computed for at most this many rows, drawn at random."""
    threads: int = Field(default=1, ge=1)
    """Threads of training."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        several = self.objective in ("binary", "multiclass")
        return Known() if several else Known(outputs=("prediction",))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        yield from super().mistakes(inputs)
        if self.args:
            from ._lightgbm_names import canonical_names, wrong_args

            names = canonical_names()
            yield from (
                ("args", message) for message in (wrong_args(self.args, names) if names else ())
            )

    def fit(
        self, features: Sequence[Features], target: Features, *, seed: int, directory: Path
    ) -> Fit:
        from ._cross_validation import Settings
        from ._estimation import estimate
        from ._lightgbm_models import LightGBMLearner

        learner = LightGBMLearner(
            self.objective, self.rounds, self.early_stopping, self.args, self.threads
        )
        settings = Settings(
            **self._settings(missing=self.missing, refits=0, shap_rows=self.shap_rows)
        )
        fitted = estimate(learner, settings, features, target, seed, directory)
        return Fit(directory, type(self), fitted.numbers, fitted.tables)
