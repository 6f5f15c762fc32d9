"""The strategies: the pairs that each one sends to a human, for every budget at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmplug import DataError
from rmplug_hybrid.candidates._candidates import TOTALS, SetCounter
from rmplug_hybrid.candidates._designs import SetDraws, Subsets
from rmplug_hybrid.candidates._labels import read_sources
from rmplug_hybrid.performance._ensemble import FormEnsemble
from rmplug_hybrid.performance._forms import PolynomialForm, ResultForm, TreesForm

from ._pool import Pool, compute_gains

Sets = list[np.ndarray]


@dataclass(frozen=True)
class Chooser:
    """A chooser of pairs by a form of the performance model: pool indices, first choice first."""

    ensemble: FormEnsemble
    pool: Pool
    sizes: tuple[int, ...]
    money: tuple[float, ...]
    rounds: int
    simulations: int
    diversity: float
    seed: int

    def choose(self, strategy: str, form: ResultForm) -> Sets:
        """Choose a set for each budget; for ``positive-gain`` one set."""
        return self._strategies[strategy](form)

    @property
    def _strategies(self) -> dict[str, Callable[[ResultForm], Sets]]:
        return {
            "top-k": self._top,
            "exact": self._exact,
            "greedy": self._greedy,
            "diverse": self._diverse,
            "simulated": self._simulated,
            "cost-aware": self._by_cost,
            "positive-gain": self._positive,
        }

    def _top(self, form: ResultForm) -> Sets:
        order = order_best_first(compute_gains(self.ensemble, form, self.pool))
        return [order[:size] for size in self.sizes]

    def _exact(self, form: ResultForm) -> Sets:
        if not (isinstance(form, PolynomialForm) and form.pairwise is None):
            raise DataError(
                "the exact optimum is known for linear models only (ridge, elastic-net, linear); "
                f"this one is {self.ensemble.model}: use greedy"
            )
        return self._top(form)

    def _greedy(self, form: ResultForm) -> Sets:
        order = _choose_in_rounds(form, self.pool, max(self.sizes), self.rounds, self._usual(form))
        return [order[:size] for size in self.sizes]

    def _usual(self, form: ResultForm) -> np.ndarray | float:
        """Return average gains, which order pairs between which trees see no difference (trees are
        flat between steps, and beyond the candidates they have learned from); else 0."""
        return compute_gains(self.ensemble, form, self.pool) if isinstance(form, TreesForm) else 0.0

    def _diverse(self, form: ResultForm) -> Sets:
        gain = compute_gains(self.ensemble, form, self.pool)
        gain = gain / (gain.std() or 1.0)
        return [
            _choose_covering(gain, self.pool, size, self.rounds, self.diversity)
            for size in self.sizes
        ]

    def _by_cost(self, form: ResultForm) -> Sets:
        costs = _require_costs(self.pool.costs)
        gain = compute_gains(self.ensemble, form, self.pool)
        # A high price does not improve a negative gain: such pairs are last, ordered by gain.
        worth = np.where(gain > 0, gain / costs, gain - np.abs(gain).max())
        return [take_affordable(order_best_first(worth), costs, money) for money in self.money]

    def _positive(self, form: ResultForm) -> Sets:
        """Choose as many of the best as raise the predicted result the most; maybe none."""
        if isinstance(form, PolynomialForm) and form.pairwise is None:
            order = order_best_first(compute_gains(self.ensemble, form, self.pool))
            one, each = form.slopes(self.ensemble.counts, self.ensemble.sizes)
            alone = one + each @ form.frame.share
            added = np.cumsum(compute_gains(self.ensemble, form, self.pool)[order] - alone)
            values = form.frame.of_size(np.arange(len(order) + 1)) + np.append(0.0, added)
            return [order[: int(np.argmax(values))]]
        order = _choose_in_rounds(form, self.pool, len(self.pool), self.rounds, self._usual(form))
        ends = np.unique(np.linspace(0, len(order), self.rounds + 1).round().astype(int))
        counts = np.array([self.pool.counts(order[:end]) for end in ends])
        return [order[: ends[int(np.argmax(form.values(counts, ends.astype(float))))]]]

    def _simulated(self, form: ResultForm) -> Sets:
        chosen = []
        for sets, (counts, sizes) in zip(self._random_sets, self._in_random_sets, strict=True):
            best = int(np.argmax(form.values(counts, sizes)))
            chosen.append(np.flatnonzero(sets.read(best, best + 1)[0]))
        return chosen

    @cached_property
    def _random_sets(self) -> list[Subsets]:
        """Random sets of each size, as published: whole features in random order."""
        seeds = np.random.SeedSequence(self.seed).generate_state(self.simulations)
        budgets = [np.full(self.simulations, size) for size in self.sizes]
        return [Subsets(self.pool.members, SetDraws(True, seeds, one)) for one in budgets]

    @cached_property
    def _in_random_sets(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The counts of each feature in the random sets, and the sizes of these: the same for every
        form."""
        counter = SetCounter(self.pool.members, read_sources(self.pool.ids, None, None), None, ())
        counted = []
        for sets in self._random_sets:
            parts = [
                counter(part, sets.draws.seeds[start : start + len(part)])[0]
                for start, part in sets.blocks()
            ]
            counts = np.concatenate(parts)
            counted.append((counts[:, len(TOTALS) :], counts[:, TOTALS.index("size")]))
        return counted


def order_best_first(worth: np.ndarray) -> np.ndarray:
    """Order rows from the greatest to the least; of equal ones the earlier row first."""
    return np.argsort(-worth, kind="stable")


def take_affordable(order: np.ndarray, costs: np.ndarray, money: float) -> np.ndarray:
    """Take the first of an order that ``money`` pays for."""
    spent = np.cumsum(costs[order])
    return order[: int(np.searchsorted(spent, money * (1 + 1e-12), side="right"))]


def _choose_in_rounds(
    form: ResultForm, pool: Pool, most: int, rounds: int, usual: np.ndarray | float
) -> np.ndarray:
    """Take in each round those with the highest gains, given all that were taken before."""
    chosen = np.empty(0, dtype=np.int64)
    counts, own = np.zeros(pool.members.shape[1]), form.own(pool.members)
    for end in _plan_rounds(most, rounds):
        one, each = form.slopes(counts[None], np.array([float(len(chosen))]))
        gain = pool.members @ each + one + own + usual
        gain[chosen] = -np.inf
        taken = order_best_first(gain)[: end - len(chosen)]
        chosen = np.append(chosen, taken)
        counts = counts + pool.counts(taken)
    return chosen


def _choose_covering(
    gain: np.ndarray, pool: Pool, most: int, rounds: int, diversity: float
) -> np.ndarray:
    """Take in each round those with the highest sum of their gain (in standard deviations) and
    ``diversity`` times what the chosen ones are short of their features."""
    usual = np.asarray(pool.members.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(usual * (1 - usual), 1e-12))
    chosen, counts = np.empty(0, dtype=np.int64), np.zeros(len(usual))
    for end in _plan_rounds(most, rounds):
        short = (usual - counts / len(chosen)) / spread if len(chosen) else 0 * usual
        score = gain + diversity * (pool.members @ short)
        score[chosen] = -np.inf
        taken = order_best_first(score)[: end - len(chosen)]
        chosen, counts = np.append(chosen, taken), counts + pool.counts(taken)
    return chosen


def _plan_rounds(most: int, rounds: int) -> list[int]:
    """Plan how many are chosen after each round."""
    ends = np.unique(np.linspace(0, most, min(rounds, most) + 1).round().astype(int))
    return [int(end) for end in ends[1:]]


def _require_costs(costs: np.ndarray | None) -> np.ndarray:
    if costs is None:
        raise DataError(
            "cost-aware needs the cost of each pair's label: give the input costs, one column"
        )
    return costs
