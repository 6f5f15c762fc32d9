"""Best-of-N choices, and the order of a prompt's responses by score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmplug_bench._arrays import Floats, Ints


@dataclass(frozen=True)
class Order:
    """Rank of each response among those of its choice."""

    choice: Ints
    count: Ints
    """Responses in its choice."""
    below: Ints
    """Responses with a lower score."""
    upto: Ints
    """Responses with a lower or the same score, itself included."""

    @property
    def tied(self) -> Ints:
        return self.upto - self.below

    def sum_of(self, values: Floats) -> Floats:
        """Sum values over each choice's responses."""
        return np.asarray(np.bincount(self.choice, values), dtype=np.float64)

    def all_tied(self) -> npt.NDArray[np.bool_]:
        """Check whether all responses of the choice have this score."""
        return np.asarray(self.tied == self.count)


def order_of(choice: Ints, scores: Floats) -> Order:
    """Order responses by scores, all finite, within choices numbered from 0."""
    count = np.bincount(choice)
    order = np.lexsort((scores, choice))
    ordered, owner = scores[order], choice[order]
    start = (np.cumsum(count) - count)[owner]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])
    block = np.cumsum(new) - 1
    firsts = np.flatnonzero(new)
    ends = np.append(firsts[1:], len(order))
    below, upto = np.empty_like(choice), np.empty_like(choice)
    below[order] = firsts[block] - start
    upto[order] = ends[block] - start
    return Order(choice, count[choice], below, upto)


def chances(order: Order, size: int) -> Floats:
    """Compute the probability that each response is the best-scored of ``size`` of its choice.

    Drawn without replacement, ties broken at random: exact, over all subsets.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, order.count.max(initial=1) + 1)))])

    def share(number: Ints) -> Floats:
        """Compute the share of subsets that lie within ``number`` of the responses."""
        enough = number >= size
        low = np.where(enough, number, size)
        log = logs[low] - logs[low - size] - logs[order.count] + logs[order.count - size]
        return np.where(enough, np.exp(log), 0.0)

    return (share(order.upto) - share(order.below)) / order.tied


def divergence_of(size: int) -> float:
    """Compute the KL divergence, in nats, of the best of ``size`` from one draw.

    log N - (N - 1) / N (Stiennon et al. 2020; an upper bound where responses repeat).
    """
    return float(np.log(size) - (size - 1) / size)


def top(order: Order, ratings: Floats) -> Floats:
    """Compute, per choice, how often the best-scored response is one of the best rated."""
    best = order_of(order.choice, ratings)
    return order.sum_of((best.upto == best.count) * first_ranks(order))


def first_ranks(order: Order) -> Floats:
    """Return each best-scored response's share of the first rank."""
    return np.where(order.upto == order.count, 1 / order.tied, 0.0)


def ndcg(order: Order, ratings: Floats) -> Floats:
    """Compute NDCG per choice: the gain of the order by scores over that of the order by ratings.

    Gains are ratings (none below 0), discounts 1 / log2(1 + rank), tied responses share theirs; NaN
    where all gains are 0.
    """
    best = order_of(order.choice, ratings)
    gain, ideal = (one.sum_of(ratings * _discounts(one)) for one in (order, best))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(ideal > 0, gain / ideal, np.nan), dtype=np.float64)


def _discounts(order: Order) -> Floats:
    reached = np.cumsum(1 / np.log2(np.arange(1, order.count.max(initial=1) + 1) + 1))
    total = np.concatenate([[0.0], reached])
    first, last = order.count - order.upto, order.count - order.below
    return np.asarray((total[last] - total[first]) / order.tied, dtype=np.float64)
