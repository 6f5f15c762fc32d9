"""Shares of a target's variance that families of features explain on held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rmplug import notice
from rmplug.stats.estimates import Estimate
from rmplug.stats.several_tests import adjust_holm
from rmplug.stats.strength_search import StrengthSearch

from ._families import Family
from ._moments import CHUNK, Design, Moments, Part, Products
from ._paths import RidgePaths, explained
from ._structure import Prompts, Shuffler

LEVEL = 0.05
TOGETHER = "together"


@dataclass(frozen=True)
class Question:
    """The rows and their target, the families, and how they are asked."""

    design: Design
    target: np.ndarray
    families: tuple[Family, ...]
    strengths: tuple[float, ...]
    permutations: int
    seed: int

    @property
    def prompts(self) -> Prompts:
        return self.design.prompts

    @property
    def shuffler(self) -> Shuffler:
        return Shuffler(self.prompts, self.seed)

    def target_of(self, part: Part) -> np.ndarray:
        """Return the target of a part for each row: as it is, its prompt's mean, or the rest."""
        return part_of(self.prompts, self.target, part)


def part_of(prompts: Prompts, values: np.ndarray, part: Part) -> np.ndarray:
    """Return a number for each row: as it is, the mean of its prompt, or its deviation from it."""
    if part == "all":
        return values
    means = prompts.means(values)[prompts.of]
    return np.asarray(means if part == "between" else values - means)


@dataclass(frozen=True)
class Share:
    """A share of the variance of one part: its estimate, and what permuted targets give."""

    share: str
    family: str
    estimate: Estimate
    null: np.ndarray
    """The same share of permuted targets, shape (permutations,); empty where none is needed."""
    p: float = float("nan")
    p_holm: float = float("nan")

    @property
    def beyond(self) -> bool:
        """Whether permuted targets hardly ever give as much."""
        return bool(self.p_holm <= LEVEL and self.estimate.value > 0)

    @classmethod
    def tested(cls, share: str, family: str, estimate: Estimate, null: np.ndarray) -> Share:
        p = p_value(estimate.value, null)
        return cls(share, family, estimate, null, p, p)


def p_value(value: float, null: np.ndarray) -> float:
    """Return the p-value of a value among those of permuted targets: never 0."""
    return float((1 + np.count_nonzero(null >= value - 1e-12)) / (1 + len(null)))


@dataclass(frozen=True)
class PartShares:
    """What is known of one part: its shares, and the model of all families: its search, its
    held-out predictions (rows,), and its path."""

    part: Part
    shares: list[Share]
    search: StrengthSearch
    predicted: np.ndarray
    paths: RidgePaths


class PartModels:
    """The ridge regressions of one part: asked for the real target and for permuted ones."""

    def __init__(
        self, question: Question, part: Part, moments: Moments, real: Products, null: Products
    ) -> None:
        self.question, self.part, self.moments = question, part, moments
        self.real, self.null = real, null
        varies = moments.variances() > 0
        kept = [replace(f, numbers=f.numbers[varies[f.numbers]]) for f in question.families]
        self.families = [family for family in kept if len(family.numbers)]
        absent = [family.name for family in kept if not len(family.numbers)]
        notice(f"family without variation {WORDS[part]}", absent, "dropped", of="families")

    def paths(self, families: Sequence[Family]) -> RidgePaths:
        return RidgePaths(self.moments, families, self.question.strengths)

    def null_of(self, paths: RidgePaths, products: Products) -> np.ndarray:
        return explained(paths.errors(products), products, self.moments.rows)

    def search(self, paths: RidgePaths) -> StrengthSearch:
        """Predict every row, held out, at each strength, and choose the strength by folds."""
        design, part = self.question.design, self.part
        weights, intercepts = paths.weights(self.real)
        wide = np.zeros((design.folds, design.matrix.shape[1], len(paths.strengths)))
        wide[:, paths.scaling.numbers] = weights
        predictions = np.empty((len(paths.strengths), len(design.matrix)))
        for k in range(design.folds):
            rows = np.flatnonzero(design.fold == k)
            for chunk in np.split(rows, range(CHUNK, len(rows), CHUNK)):
                predictions[:, chunk] = (design.matrix[chunk] @ wide[k] + intercepts[k]).T
        if part != "all":
            for s, values in enumerate(predictions):
                predictions[s] = part_of(design.prompts, values, part)
        losses = (self.question.target_of(part) - predictions) ** 2
        sums = np.stack([np.bincount(design.fold, one, design.folds) for one in losses])
        rows_of = np.bincount(design.fold, minlength=design.folds).astype(float)
        return StrengthSearch(paths.strengths, design.fold, predictions, sums / rows_of, rows_of)

    def estimate(self, predicted: np.ndarray, beside: np.ndarray | None = None) -> Estimate:
        """Estimate by how much held-out errors are below those ``beside`` them: of held-out means
        by default, relative to these. The mean of all rows as a measure would have seen the rows
        that it is compared on: shares would be too low by about one in the number of prompts."""
        target, design = self.question.target_of(self.part), self.question.design
        level = held_out_means(target, design.fold, design.folds)
        beside = level if beside is None else beside
        squares = (target - level) ** 2
        gains = (target - beside) ** 2 - (target - predicted) ** 2
        value, spread = float(gains.sum()) / float(squares.sum()), squares.mean()
        size = float(((predicted - beside) ** 2).mean() / spread)
        return Estimate(value, (gains - value * squares) / spread, "explained", size)


def held_out_means(target: np.ndarray, fold: np.ndarray, folds: int) -> np.ndarray:
    """Return for each row the mean of the target over the other folds."""
    sums, rows = np.bincount(fold, target, folds), np.bincount(fold, minlength=folds)
    return np.asarray(((sums.sum() - sums) / (rows.sum() - rows))[fold])


WORDS: dict[Part, str] = {
    "all": "between rows",
    "within": "within prompts",
    "between": "between prompts",
}


def shares_of(models: PartModels) -> PartShares:
    """Compute what each family explains alone, all together, each one's unique share, and what
    they share; with p-values from permuted targets, corrected for the number of families."""
    families = models.families
    paths = models.paths(families)
    search = models.search(paths)
    predicted = search.held_out()
    together = models.estimate(predicted)
    whole = Share.tested(TOGETHER, "", together, models.null_of(paths, models.null))
    if len(families) == 1:
        alone = [replace(whole, share="alone", family=families[0].name)]
        return PartShares(models.part, [whole, *alone], search, predicted, paths)
    alone = [_alone(models, family) for family in families]
    unique = [_unique(models, paths, predicted, family) for family in families]
    shared = Share("shared", "", _less(together, [one.estimate for one in unique]), np.empty(0))
    shares = [whole, *corrected(alone), *corrected(unique), shared]
    return PartShares(models.part, shares, search, predicted, paths)


def _alone(models: PartModels, family: Family) -> Share:
    paths = models.paths([family])
    estimate = models.estimate(models.search(paths).held_out())
    return Share.tested("alone", family.name, estimate, models.null_of(paths, models.null))


def _unique(models: PartModels, every: RidgePaths, whole: np.ndarray, family: Family) -> Share:
    """Compute what a family adds to all others, and what it adds where its own part of the target
    is permuted: what the others predict stays, their errors are permuted (Freedman and Lane, 1983).
    """
    paths = models.paths([other for other in models.families if other is not family])
    predicted = models.search(paths).held_out()
    left = models.question.target_of(models.part) - predicted
    products = permuted_about(models.question, predicted, left, models.part)
    null = models.null_of(every, products) - models.null_of(paths, products)
    return Share.tested("unique", family.name, models.estimate(whole, predicted), null)


def permuted_about(
    question: Question, kept: np.ndarray, errors: np.ndarray, part: Part
) -> Products:
    """Return the sums of targets that are ``kept`` (rows,) and permuted ``errors`` (rows,)."""
    means, deviations = question.shuffler.permuted(errors, question.permutations)
    mean = question.prompts.means(kept)
    means += mean[:, None]
    deviations += (kept - mean[question.prompts.of])[:, None]
    return question.design.products(means, deviations, (part,))[part]


def corrected(shares: Sequence[Share]) -> list[Share]:
    """Correct the p-values for the number of families, by Holm's rule."""
    adjusted = adjust_holm([share.p for share in shares])
    return [replace(one, p_holm=float(p)) for one, p in zip(shares, adjusted, strict=True)]


def _less(whole: Estimate, others: Sequence[Estimate]) -> Estimate:
    value = whole.value - sum(other.value for other in others)
    influence = whole.influence - sum(other.influence for other in others)
    return Estimate(value, influence, "plain")


def row_of(share: Share, part: str, rows: int, groups: np.ndarray, freedom: int) -> dict[str, Any]:
    """Return a share as one row of the table ``shares``."""
    low, high = share.estimate.interval(groups, freedom)
    tested = len(share.null) > 0
    return {
        "part": part,
        "share": share.share,
        "family": share.family,
        "value": share.estimate.value,
        "low": low,
        "high": high,
        "n": rows,
        "null_high": float(np.quantile(share.null, 1 - LEVEL)) if tested else None,
        "p": share.p if tested else None,
        "p_holm": share.p_holm if tested else None,
        "beyond_chance": share.beyond and low is not None and low > 0 if tested else None,
    }
