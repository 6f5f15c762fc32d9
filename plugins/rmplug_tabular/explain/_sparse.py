"""A sparse linear explanation: an elastic net, and how stable its choice of features is.

The penalty is the one at which the net chooses any feature for no more than 5 % of permuted
targets. It is then fitted to halves of the prompts (stability selection: Meinshausen and Bühlmann,
2010; both halves of each split: Shah and Samworth, 2013), with the penalty that suits half as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.linalg import eigh

from rmplug.stats.intervals import percentile_interval

from ._moments import Design, Part, Products
from ._shares import Question

MOST_UNITS = 100
"""Prompts are dealt into at most this many blocks, which are drawn whole."""
MOST_CELLS = 20_000_000
"""Cells of the Gram matrices of all blocks: fewer blocks where there are many features."""
FEWEST_UNITS = 10
LEVEL = 0.05
UNIT = "standard deviation of the feature"


@dataclass(frozen=True)
class Net:
    """How the net is fitted: the share of the lasso's penalty, the halves, the threshold."""

    l1_ratio: float
    halves: int
    stability: float


@dataclass(frozen=True)
class UnitSums:
    """Sums of one part by block of prompts, features standardised and centred, target centred:
    ``rows`` (units,), ``xx`` (units, features, features), ``xy`` (units, features)."""

    rows: np.ndarray
    xx: np.ndarray
    xy: np.ndarray

    def of(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means of squares and products over some blocks."""
        rows = max(float(self.rows[units].sum()), 1.0)
        return self.xx[units].sum(axis=0) / rows, self.xy[units].sum(axis=0) / rows


def explain_sparsely(
    question: Question, part: Part, names: Sequence[str], numbers: np.ndarray, null: Products,
    net: Net,
) -> pa.Table | None:  # fmt: skip
    """Return the table ``sparse`` of one part, the most stable feature first; None where there are
    no features or too few prompts."""
    sums, spread = _unit_sums(question, part, numbers)
    kept = np.flatnonzero(spread > 1e-5)
    if not len(kept) or len(sums.rows) < FEWEST_UNITS:
        return None
    sums = UnitSums(sums.rows, sums.xx[:, kept][:, :, kept], sums.xy[:, kept])
    penalty = _penalty_of_chance(null, numbers[kept], spread[kept], float(sums.rows.sum()))
    penalty /= net.l1_ratio
    every = np.arange(len(sums.rows))
    drawn = list(_halves(len(every), net.halves, question.seed))
    chosen = np.array([_net(*sums.of(u), penalty * 2**0.5, net.l1_ratio) for u in drawn])
    share = (chosen != 0).mean(axis=0)
    whole = _net(*sums.of(every), penalty, net.l1_ratio) != 0
    support = np.flatnonzero(whole | (share >= net.stability))
    weights = _refit(*sums.of(every), support)
    refits = np.array([_refit(*sums.of(u), support) for u in drawn])
    entries = np.abs(sums.of(every)[1]) / (penalty * net.l1_ratio)
    table = _table([names[i] for i in kept.tolist()], share, chosen, weights, refits, len(every))
    stable = pa.array((share >= net.stability).tolist(), pa.bool_())
    table = table.append_column("stable", stable).append_column("strength", pa.array(entries))
    order = np.lexsort([-np.abs(weights), -share])
    return table.take(pa.array(order)).append_column("per", pa.array([UNIT] * len(order)))


def _table(
    names: Sequence[str], share: np.ndarray, chosen: np.ndarray, weights: np.ndarray,
    refits: np.ndarray, units: int,
) -> pa.Table:  # fmt: skip
    """Return a row for each feature; those that are not chosen have a coefficient of 0 and no
    interval."""
    above, below = (chosen > 0).mean(axis=0), (chosen < 0).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        same = np.where(share > 0, np.maximum(above, below) / share, np.nan)
    limits = [
        percentile_interval(column, units) if weight != 0 else (None, None)
        for column, weight in zip(refits.T, weights, strict=True)
    ]
    return pa.table(
        {
            "feature": list(names),
            "coefficient": weights,
            "low": pa.array([low for low, _ in limits], pa.float64()),
            "high": pa.array([high for _, high in limits], pa.float64()),
            "chosen": share,
            "same_sign": pa.array(same, from_pandas=True),
        }
    )


def _unit_sums(question: Question, part: Part, numbers: np.ndarray) -> tuple[UnitSums, np.ndarray]:
    """Return the sums of blocks of prompts, and the standard deviation of each feature."""
    design, prompts = question.design, question.prompts
    units = _units(len(prompts.sizes), len(numbers), question.seed)
    x, y, of = _values(design, question, part, numbers, units)
    weight = prompts.sizes.astype(float) if part == "between" else np.ones(len(x))
    x = x - weight @ x / weight.sum()
    spread = np.sqrt(weight @ x**2 / weight.sum())
    x /= np.where(spread > 1e-5, spread, 1.0)
    y = y - weight @ y / weight.sum()
    count = int(units.max()) + 1
    xx, xy = np.zeros((count, len(numbers), len(numbers))), np.zeros((count, len(numbers)))
    for unit in range(count):
        inside = of == unit
        weighed = x[inside] * weight[inside][:, None]
        xx[unit], xy[unit] = weighed.T @ x[inside], weighed.T @ y[inside]
    return UnitSums(np.bincount(of, weight, count), xx, xy), spread


def _units(groups: int, features: int, seed: int) -> np.ndarray:
    """Return the block of each group."""
    most = max(FEWEST_UNITS, min(MOST_UNITS, MOST_CELLS // max(1, features**2)))
    if groups <= most:
        return np.arange(groups)
    return np.asarray(np.random.default_rng([seed, 5]).permutation(groups) % most)


def _values(
    design: Design, question: Question, part: Part, numbers: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers, target and block: a row for each prompt between prompts, else for each
    row."""
    prompts = question.prompts
    if part == "between":
        return design.means[:, numbers], prompts.means(question.target), units
    x, y = design.matrix[:, numbers], question.target_of(part)
    return (prompts.deviations(x) if part == "within" else x), y, units[prompts.of]


def _penalty_of_chance(
    null: Products, numbers: np.ndarray, spread: np.ndarray, rows: float
) -> float:
    """Return the 95 % quantile, over permuted targets, of the greatest mean product of a
    standardised feature and the target: below it the net chooses something."""
    products = null.xy[:, numbers].sum(axis=0) / rows
    return float(np.quantile(np.abs(products / spread[:, None]).max(axis=0), 1 - LEVEL))


def _halves(units: int, count: int, seed: int) -> list[np.ndarray]:
    """Return ``count`` halves of the blocks: both halves of each split."""
    rng = np.random.default_rng([seed, 11])
    drawn: list[np.ndarray] = []
    while len(drawn) < count:
        order = rng.permutation(units)
        drawn += [order[: units // 2], order[units - units // 2 :]]
    return drawn[:count]


def _net(gram: np.ndarray, products: np.ndarray, penalty: float, l1_ratio: float) -> np.ndarray:
    """Return the coefficients (features,) of the elastic net, from means of squares and
    products: the same as from rows with these sums."""
    from sklearn.linear_model import enet_path

    values, turn = eigh(gram)
    root = np.sqrt(values.clip(values.max(initial=0.0) * 1e-10, None))
    width = len(root)
    x = (turn * root).T * width**0.5
    y = (turn.T @ products) / root * width**0.5
    _, weights, _ = enet_path(
        x, y, l1_ratio=l1_ratio, alphas=[max(penalty, 1e-12)], max_iter=5000, tol=1e-6
    )
    return np.asarray(weights[:, 0])


def _refit(gram: np.ndarray, products: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return least-squares coefficients of the chosen features, 0 for the others."""
    weights = np.zeros(len(products))
    inside = gram[np.ix_(support, support)]
    inside = inside + 1e-8 * np.eye(len(support))
    weights[support] = np.linalg.solve(inside, products[support])
    return weights
