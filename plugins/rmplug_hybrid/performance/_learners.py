"""Learners of a performance model from candidates: by size alone, by ridge regression, and
others."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass

import lightgbm
import numpy as np
import scipy.linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, ElasticNetCV

from ._candidate_table import Trials
from ._forms import Frame, PolynomialForm, ResultForm, TreesForm

STRENGTHS = np.logspace(-6, 2, 25)
"""Strengths of regularisation, of the largest squared singular value: the last one leaves hardly
more than the size."""
SMALLEST = 1e-10
L1_SHARE = 0.5
TREES = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
ORIGINAL_TREES = {
    "objective": "regression",
    "metric": "rmse",
    "boosting_type": "gbdt",
    "learning_rate": 0.1,
    "num_leaves": 31,
}
ROUNDS = 100


@dataclass(frozen=True)
class LearnedForm:
    """A form, with the strength of regularisation that was chosen for it."""

    form: ResultForm
    strength: float | None = None


class FormLearner(ABC):
    """A learner of a form from candidates; ``strength`` is chosen on them where it is None."""

    name: str

    @abstractmethod
    def learn(self, trials: Trials, seed: int, strength: float | None = None) -> LearnedForm: ...


@dataclass(frozen=True)
class SizeAlone(FormLearner):
    """The count-only baseline: a polynomial of the number of human labels."""

    degree: int
    name: str = "count-only"

    def learn(self, trials: Trials, seed: int, strength: float | None = None) -> LearnedForm:
        frame = make_plain_frame(trials)
        size = fit_size(trials.sizes, trials.target, self.degree)
        return LearnedForm(PolynomialForm(Frame(frame.share, frame.scale, size), 0 * frame.share))


@dataclass(frozen=True)
class Penalised(FormLearner):
    """A learner by ridge, elastic net or least squares on standardised deviations from what the
    size lets expect; the size itself is not penalised, so that the limit is the count-only
    baseline."""

    name: str
    degree: int
    quadratic: bool = False

    def learn(self, trials: Trials, seed: int, strength: float | None = None) -> LearnedForm:
        frame = make_standard_frame(trials)
        terms = frame.z(trials.counts, trials.sizes)
        if self.quadratic:
            terms = np.hstack([terms, _multiply_columns(terms)])
        around = make_size_basis(trials.sizes, self.degree)
        basis = np.linalg.qr(around)[0]
        rest, left = (matrix - basis @ (basis.T @ matrix) for matrix in (terms, trials.target))
        spread = _measure_spread(rest, terms)
        weights, strength = self._solve(rest / spread, left, basis, seed, strength)
        weights = weights / spread
        size = fit_size(trials.sizes, trials.target - terms @ weights, self.degree)
        return LearnedForm(
            _make_polynomial(Frame(frame.share, frame.scale, size), weights), strength
        )

    def _solve(
        self,
        matrix: np.ndarray,
        target: np.ndarray,
        basis: np.ndarray,
        seed: int,
        strength: float | None,
    ) -> tuple[np.ndarray, float]:
        if self.name == "elastic-net":
            return fit_elastic_net(matrix, target, seed, strength)
        return fit_ridge(matrix, target, basis, 0.0 if self.name == "linear" else strength)


@dataclass(frozen=True)
class Boosted(FormLearner):
    """A learner by LightGBM on deviations and size, fitted to the residuals of the size alone."""

    degree: int
    name: str = "lightgbm"

    def learn(self, trials: Trials, seed: int, strength: float | None = None) -> LearnedForm:
        frame = make_standard_frame(trials)
        size = fit_size(trials.sizes, trials.target, self.degree)
        frame = Frame(frame.share, frame.scale, size)
        z = frame.z(trials.counts, trials.sizes)
        left = trials.target - frame.of_size(trials.sizes)
        booster = boost(np.column_stack([z, trials.sizes]), left, TREES, seed)
        return LearnedForm(TreesForm(frame, frame.scale, booster, True))


@dataclass(frozen=True)
class Original(FormLearner):
    """The learner of the published system: least squares on raw counts (minimum norm), the same
    with all products of two counts, or LightGBM with its settings; the size is no feature."""

    name: str

    def learn(self, trials: Trials, seed: int, strength: float | None = None) -> LearnedForm:
        frame = make_plain_frame(trials)
        if self.name == "lightgbm":
            step = _measure_spread(trials.counts, trials.counts)
            booster = boost(trials.counts, trials.target, ORIGINAL_TREES, seed)
            return LearnedForm(TreesForm(frame, step, booster, False))
        terms = trials.counts
        if self.name == "quadratic":
            terms = np.hstack([terms, _multiply_columns(terms)])
        centre = terms.mean(axis=0)
        weights = scipy.linalg.lstsq(terms - centre, trials.target - trials.target.mean())[0]
        constant = np.array([trials.target.mean() - centre @ weights])
        return LearnedForm(_make_polynomial(Frame(frame.share, frame.scale, constant), weights))


def make_plain_frame(trials: Trials) -> Frame:
    features = len(trials.names)
    return Frame(np.zeros(features), np.ones(features), np.zeros(1))


def make_standard_frame(trials: Trials) -> Frame:
    """Measure deviations from a feature's share of all labels, in standard deviations."""
    share = trials.counts.sum(axis=0) / max(trials.sizes.sum(), 1.0)
    away = trials.counts - np.outer(trials.sizes, share)
    return Frame(share, _measure_spread(away, trials.counts), np.zeros(1))


def make_size_basis(sizes: np.ndarray, degree: int) -> np.ndarray:
    """Make columns 1, size, its square, …; no more of them than there are different sizes."""
    degree = min(degree, len(np.unique(sizes)) - 1)
    return np.vander(sizes / max(float(np.abs(sizes).max()), 1.0), degree + 1, increasing=True)


def fit_size(sizes: np.ndarray, target: np.ndarray, degree: int) -> np.ndarray:
    """Fit the least-squares polynomial of the size; returns its coefficients."""
    basis = make_size_basis(sizes, degree)
    scaled = np.linalg.lstsq(basis, target, rcond=None)[0]
    unit = max(float(np.abs(sizes).max()), 1.0)
    coefficients: np.ndarray = scaled / unit ** np.arange(basis.shape[1])
    return coefficients


def fit_ridge(
    matrix: np.ndarray, target: np.ndarray, basis: np.ndarray, strength: float | None
) -> tuple[np.ndarray, float]:
    """Fit weights, at the strength with the least leave-one-out error, unless one is set. What
    ``basis`` (orthonormal) explains has been taken out of both sides."""
    left, sizes, right = scipy.linalg.svd(matrix, full_matrices=False)
    kept = sizes > SMALLEST * max(float(sizes.max(initial=0.0)), 1e-300)
    left, sizes, right = left[:, kept], sizes[kept], right[kept]
    if not len(sizes):
        return np.zeros(matrix.shape[1]), 0.0
    along = left.T @ target
    strengths = STRENGTHS if strength is None else np.array([strength])
    shrunk = sizes**2 / (sizes**2 + strengths[:, None] * sizes[0] ** 2)
    best = 0
    if len(strengths) > 1:
        taken = (basis**2).sum(axis=1) + shrunk @ (left**2).T
        errors = (target - (shrunk * along) @ left.T) / np.maximum(1 - taken, 1e-6)
        best = int(np.argmin((errors**2).mean(axis=1)))
    return right.T @ (shrunk[best] * along / sizes), float(strengths[best])


def fit_elastic_net(
    matrix: np.ndarray, target: np.ndarray, seed: int, strength: float | None
) -> tuple[np.ndarray, float]:
    """Fit weights, at the strength with the least error in five folds, unless one is set."""
    shared = {"l1_ratio": L1_SHARE, "fit_intercept": False, "max_iter": 5000, "tol": 1e-3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if strength is None:
            model = ElasticNetCV(alphas=20, cv=5, **shared).fit(matrix, target)
            return model.coef_, float(model.alpha_)
        return ElasticNet(alpha=strength, **shared).fit(matrix, target).coef_, strength


def boost(
    matrix: np.ndarray, target: np.ndarray, settings: dict[str, object], seed: int
) -> lightgbm.Booster:
    fixed = {"seed": seed % 2**31, "num_threads": 1, "deterministic": True, "force_row_wise": True}
    parameters = {**settings, **fixed, "verbosity": -1}
    data = lightgbm.Dataset(matrix, target, params=parameters)
    return lightgbm.train(parameters, data, ROUNDS)


def _multiply_columns(columns: np.ndarray) -> np.ndarray:
    """Multiply each two columns, and each with itself: the upper triangle by rows."""
    first, second = np.triu_indices(columns.shape[1])
    return np.asarray(columns[:, first] * columns[:, second])


def _make_polynomial(frame: Frame, weights: np.ndarray) -> PolynomialForm:
    features = len(frame.share)
    if len(weights) == features:
        return PolynomialForm(frame, weights)
    pairwise = np.zeros((features, features))
    pairwise[np.triu_indices(features)] = weights[features:]
    return PolynomialForm(frame, weights[:features], (pairwise + pairwise.T) / 2)


def _measure_spread(columns: np.ndarray, made_of: np.ndarray) -> np.ndarray:
    """Compute standard deviations; 1 for what is constant but for rounding."""
    deviations = columns.std(axis=0)
    size = np.abs(made_of).max(axis=0, initial=0.0)
    return np.where(deviations > 1e-9 * size, deviations, 1.0)


def choose_learner(model: str, degree: int, original: bool) -> FormLearner:
    if original:
        return Original(model)
    if model == "lightgbm":
        return Boosted(degree)
    return Penalised(model, degree, quadratic=model == "quadratic")
