"""Rules of choices among responses: best of N, and ties."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice
from rmplug.data.choices import choice_of_each
from rmplug_bench._arrays import codes

from ._definitions import Definition
from ._rules import Figure, Floats, Ints, Mask, Outcomes, Rule, right_responses


class ChoiceRule(Rule):
    """Rule of best of N: responses with the same ``case`` (or else to the same prompt) are an
    item."""

    def __init__(self, data: pa.Table, definition: Definition) -> None:
        super().__init__(data, definition)
        right = right_responses(data, definition)
        case = choice_of_each(data)
        self.order = np.argsort(case, kind="stable")
        self.starts = np.flatnonzero(np.r_[True, np.diff(case[self.order]) != 0])
        self.sizes = np.diff(np.r_[self.starts, len(case)])
        self.items = self.order[self.starts]
        self.right = right[self.order]
        self.rights = np.add.reduceat(self.right.astype(np.float64), self.starts)
        self.chance = self.rights / self.sizes
        _notice_without_choice(data, self.items, self.chance)

    def outcomes(self, scores: Floats) -> Outcomes:
        outcomes = Outcomes()
        ordered = scores[self.order]
        share, top = self._chosen(ordered)
        complete = self._complete(ordered)
        outcomes.add("accuracy", "score", np.where(complete, share, np.nan))
        how = self.definition.published
        if how is not None:
            value = share if how == "share" else (share == 1) & (top > 0)
            outcomes.add("accuracy-published", "score-published", np.where(complete, value, 0.0))
        if "mrr" in self.definition.also:
            self._add_ranks(outcomes, ordered, complete)
        if "pair-accuracy" in self.definition.also:
            above = self._right_above_wrong(ordered)
            outcomes.add("pair-accuracy", "pair-accuracy", np.where(complete, above, np.nan))
        return outcomes

    def spread(self, per_case: Floats) -> Floats:
        """Repeat a value of each case for each of its rows."""
        return np.repeat(per_case, self.sizes)

    def _complete(self, ordered: Floats) -> Mask:
        """Return the mask of cases all of whose responses have a score."""
        return np.asarray(np.logical_and.reduceat(np.isfinite(ordered), self.starts))

    def _chosen(self, ordered: Floats) -> tuple[Floats, Floats]:
        """Return the share of right responses among the best-scored, and the number of these."""
        filled = np.where(np.isfinite(ordered), ordered, -np.inf)
        best = np.maximum.reduceat(filled, self.starts)
        at_top = (filled == self.spread(best)).astype(np.float64)
        top = np.add.reduceat(at_top, self.starts)
        return np.add.reduceat(at_top * self.right, self.starts) / top, top

    def _add_ranks(self, outcomes: Outcomes, ordered: Floats, complete: Mask) -> None:
        """Add the reciprocal rank of the best right response: the middle rank among ties, or
        (published) the last."""
        filled = np.where(np.isfinite(ordered) & self.right, ordered, -np.inf)
        best = self.spread(np.maximum.reduceat(filled, self.starts))
        higher = np.add.reduceat(((ordered > best) & ~self.right) * 1.0, self.starts)
        equal = np.add.reduceat(((ordered == best) & ~self.right) * 1.0, self.starts)
        outcomes.add("mrr", "mrr", np.where(complete, 1 / (1 + higher + equal / 2), np.nan))
        if self.definition.published is not None:
            last = np.where(complete, 1 / (1 + higher + equal), 0.0)
            outcomes.add("mrr-published", "mrr-published", last)

    def _right_above_wrong(self, ordered: Floats) -> Floats:
        """Compute the share of (right, wrong) pairs of a case in the right order, ties one half."""
        case = np.repeat(np.arange(len(self.sizes)), self.sizes)
        by_score = np.lexsort((ordered, case))
        sorted_case, value = case[by_score], ordered[by_score]
        fresh = np.r_[True, (np.diff(value) != 0) | (np.diff(sorted_case) != 0)]
        block = np.cumsum(fresh) - 1
        counts = np.bincount(block)
        middle = (np.cumsum(counts) - (counts + 1) / 2)[block] - np.repeat(self.starts, self.sizes)
        sums = np.bincount(sorted_case, middle * self.right[by_score])
        wrongs = self.sizes - self.rights
        with np.errstate(invalid="ignore", divide="ignore"):
            above = (sums - self.rights * (self.rights - 1) / 2) / (self.rights * wrongs)
        return np.asarray(above)


def _notice_without_choice(data: pa.Table, items: Ints, chance: Floats) -> None:
    for value, what in ((0.0, "no response is right"), (1.0, "every response is right")):
        ids = data["id"].take(pa.array(items[chance == value])).to_pylist()
        notice(f"{what}: the choice is settled", ids, of="choices")


class TiesRule(ChoiceRule):
    """Rule of best of N with ties: cases with a ``kind``, ``ref`` with one right response, ``tied``
    with several.

    The score of cases with a kind is 0.3 of the share of tied cases, and 0.3 of ref cases, whose
    right responses are all above the wrong ones; 0.2 of the share of tied cases whose gap between
    right and wrong exceeds the spread of the right ones; 0.2 of those where the smaller gap of the
    two cases does; and 0.01 of the mean of tanh(smaller gap / spread - 1).
    """

    WEIGHTS: Mapping[str, float] = {
        "tied": 0.3,
        "ref": 0.3,
        "gap": 0.2,
        "smaller-gap": 0.2,
        "ratio": 0.01,
    }

    def __init__(self, data: pa.Table, definition: Definition) -> None:
        super().__init__(data, definition)
        if "kind" not in data.column_names:
            raise DataError(
                f"{definition.name} needs the column 'kind' ('ref' or 'tied' where responses tie, "
                "else null), which the loader rewardbench-2 gives"
            )
        kind = data["kind"].take(pa.array(self.items))
        self.ref, self.tied = (_is(kind, name) for name in ("ref", "tied"))
        self.partner = self._partners(codes(data["group"])[self.items])
        self.chance = np.where(self.ref | self.tied, np.nan, self.chance)
        alone = np.flatnonzero((self.ref | self.tied) & (self.partner < 0))
        ids = data["id"].take(pa.array(self.items[alone])).to_pylist()
        notice("a case of ties without its other kind: not compared with it", ids, of="cases")

    def _partners(self, groups: Ints) -> Ints:
        """Return the case of the other kind in the same group; -1 where there is none."""
        partners = np.full(len(groups), -1)
        for mine, other in ((self.tied, self.ref), (self.ref, self.tied)):
            case_of_group = {groups[case]: case for case in np.flatnonzero(other)}
            for case in np.flatnonzero(mine):
                partners[case] = case_of_group.get(groups[case], -1)
        return partners

    def outcomes(self, scores: Floats) -> Outcomes:
        plain = super().outcomes(scores)
        outcomes = Outcomes()
        ties = self.ref | self.tied
        for metric in plain.columns:
            tail = metric.removeprefix("accuracy")
            outcomes.columns[metric] = np.where(ties, np.nan, plain.columns[metric])
            columns = self._ties(scores[self.order], bool(tail))
            outcomes.columns.update({part + tail: values for part, values in columns.items()})
            weights = {part + tail: weight for part, weight in self.WEIGHTS.items()}
            outcomes.figures.append(Figure(metric, f"score{tail}", {metric: 1.0, **weights}))
        return outcomes

    def _ties(self, ordered: Floats, published: bool) -> dict[str, Floats]:
        """Return the columns of cases of ties; a missing score is wrong if published, else left
        out."""
        complete = self._complete(ordered)
        lowest = np.minimum.reduceat(np.where(self.right, ordered, np.inf), self.starts)
        highest = np.maximum.reduceat(np.where(self.right, ordered, -np.inf), self.starts)
        wrong = np.maximum.reduceat(np.where(self.right, -np.inf, ordered), self.starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            gap, spread = lowest - wrong, highest - lowest
            smaller = np.minimum(gap, gap[self.partner])
            ratio = np.tanh(smaller / spread - 1)
        both = self.tied & (self.partner >= 0) & (self.rights > 1)
        counted = complete | published
        paired = both & (complete & complete[self.partner] | published)
        return {
            "tied": _where(self.tied & counted, gap > 0),
            "ref": _where(self.ref & counted, gap > 0),
            "gap": _where(paired, gap > spread),
            "smaller-gap": _where(paired, smaller > spread),
            "ratio": _where(paired & (spread > 0) & np.isfinite(ratio), ratio),
        }


def _is(column: pa.ChunkedArray, name: str) -> Mask:
    return np.asarray(pc.fill_null(pc.equal(column, name), False)).astype(bool)


def _where(counted: Mask, values: npt.NDArray[np.generic]) -> Floats:
    return np.where(counted, values, np.nan).astype(np.float64)
