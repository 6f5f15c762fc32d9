"""The table of the ``compare`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rmplug import DataError, Features, Metrics, Pairs, Responses
from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.intervals import NO_BOUND, Bounds, percentile_interval, share_interval
from rmplug.stats.several_tests import adjust_holm
from rmplug_bench._arrays import Floats
from rmplug_bench.statistics._metric_rows import Row, metric_row, metrics_of

from ._judged import Judged, Mask, judged, parts_of
from ._paired import by_group, detectable, inseparable, mcnemar_p, ranks, sign_flip_p
from ._sentences import LEVEL, Compared, Decisions, cluster, comparison

COLUMNS = (
    *("metric", "subset", "value", "low", "high", "n", "model", "kind"),
    *("other", "p", "p_holm", "p_mcnemar", "sentence"),
)


@dataclass(frozen=True)
class Part:
    """Decisions of one subset: accuracies, observed and in every resample."""

    judged: Judged
    subset: str
    mask: Mask
    accuracy: Floats
    drawn: Floats | None
    """Of shape (resamples, judges); none with fewer than two groups."""
    decisions: Decisions

    def difference(self, one: int, two: int) -> Floats:
        right = self.judged.right[self.mask]
        return np.asarray(right[:, one] - right[:, two], dtype=np.float64)

    def bound(self, one: int, two: int) -> Bounds:
        if self.drawn is None:
            return NO_BOUND
        return percentile_interval(self.drawn[:, one] - self.drawn[:, two], self.decisions.groups)


@dataclass
class PairedTest:
    """Paired test of two judges on one part."""

    part: Part
    one: int
    two: int
    p: float
    sums: Floats
    p_holm: float = 1.0
    family: int = 1


def compare(
    data: Pairs | Responses,
    rewards: Sequence[Features],
    baselines: Sequence[str],
    resamples: int,
    seed: int,
) -> Metrics:
    """Compare all models on the whole, then on each subset."""
    decisions = judged(data, rewards, baselines, seed)
    parts = [
        _part(decisions, subset, mask, resamples, [seed, index])
        for index, (subset, mask) in enumerate(parts_of(decisions.subsets))
    ]
    whole = parts[0]
    order = sorted(decisions.indices("model"), key=lambda index: -whole.accuracy[index])
    rows: list[Row] = []
    for members in ([whole], parts[1:]):
        pairs = _corrected([_test(p, i, j) for p in members for i, j in combinations(order, 2)])
        ruled = _corrected([_test(p, i, _best_baseline(p)) for p in members for i in order])
        for part in members:
            rows += _accuracies(part)
            rows += _ranks(part, order)
            own = [one for one in (*pairs, *ruled) if one.part is part]
            rows += [row for one in own for row in _compared(one)]
        if members == [whole]:
            rows += _clusters(whole, order, pairs)
    return metrics_of(rows, COLUMNS)


def _part(decided: Judged, subset: str, mask: Mask, resamples: int, seed: list[int]) -> Part:
    right, groups = decided.right[mask], decided.groups[mask]
    number = len(np.unique(groups))
    decisions = Decisions(len(right), decided.unit, number)
    accuracy = right.mean(axis=0) if len(right) else np.full(right.shape[1], np.nan)
    drawn = None
    if number > 1:
        columns = {str(index): right[:, index] for index in range(right.shape[1])}
        sums = resampled_sums(columns | {"n": np.ones(len(right))}, groups, resamples, seed)
        drawn = np.stack([sums[index] for index in columns], axis=1) / sums["n"][:, None]
    return Part(decided, subset, mask, accuracy, drawn, decisions)


def _best_baseline(part: Part) -> int:
    """Return the index of the baseline with the highest accuracy in this part."""
    indices = part.judged.indices("baseline")
    if not indices:
        raise DataError("comparing needs a baseline that applies to the data; add 'longer'")
    return indices[int(np.argmax(part.accuracy[indices]))]


def _test(part: Part, one: int, two: int) -> PairedTest:
    sums = by_group(part.difference(one, two), part.judged.groups[part.mask])
    return PairedTest(part, one, two, sign_flip_p(sums), sums)


def _corrected(family: list[PairedTest]) -> list[PairedTest]:
    corrected = adjust_holm(np.array([one.p for one in family]))
    for one, p in zip(family, corrected.tolist(), strict=True):
        one.p_holm, one.family = p, len(family)
    return family


def _row(part: Part, metric: str, index: int, value: Any, bound: Bounds, **more: Any) -> Row:
    judge = part.judged.judges[index]
    names = {"model": judge.name, "kind": judge.kind} | more
    return metric_row(metric, part.subset, value, part.decisions.number, bound, **names)


def _accuracies(part: Part) -> Iterator[Row]:
    for index, judge in enumerate(part.judged.judges):
        bound = NO_BOUND
        if part.drawn is not None and judge.name != "random":
            draws = part.drawn[:, index]
            bound = share_interval(float(part.accuracy[index]), draws, part.decisions.groups)
        yield _row(part, "accuracy", index, part.accuracy[index], bound)


def _ranks(part: Part, order: Sequence[int]) -> Iterator[Row]:
    if not part.decisions.number:
        return
    values = ranks(part.accuracy[list(order)])
    drawn = None if part.drawn is None else ranks(part.drawn[:, list(order)])
    for i, index in enumerate(order):
        bound = NO_BOUND
        if drawn is not None:
            low, high = np.quantile(drawn[:, i], (0.025, 0.975))
            bound = (float(np.floor(low)), float(np.ceil(high)))
        yield _row(part, "rank", index, values[i], bound)


def _compared(one: PairedTest) -> Iterator[Row]:
    """Yield the difference with its tests, and the minimum detectable difference."""
    part, judges = one.part, one.part.judged.judges
    bound = part.bound(one.one, one.two)
    other = judges[one.two].name
    seen = detectable(one.sums, part.decisions.number)
    value = part.accuracy[one.one] - part.accuracy[one.two]
    tests = {
        "p": one.p,
        "p_holm": one.p_holm,
        "p_mcnemar": mcnemar_p(part.difference(one.one, one.two)),
        "sentence": _sentence(one, bound, seen) if part.subset == "all" else None,
    }
    yield _row(part, "difference", one.one, value, bound, other=other, **tests)
    yield _row(part, "minimum-detectable-difference", one.one, seen, NO_BOUND, other=other)


def _sentence(one: PairedTest, bound: Bounds, seen: float) -> str | None:
    part = one.part
    if not part.decisions.number:
        return None
    names = (str(part.judged.judges[one.one]), str(part.judged.judges[one.two]))
    accuracies = (float(part.accuracy[one.one]), float(part.accuracy[one.two]))
    compared = Compared(names, accuracies, bound, one.p, one.p_holm, one.family, seen)
    return comparison(compared, part.decisions)


def _clusters(part: Part, order: list[int], pairs: Sequence[PairedTest]) -> Iterator[Row]:
    """Yield runs of models that do not differ significantly; each is a row of its best member."""
    apart = {frozenset((one.one, one.two)) for one in pairs if one.p_holm < LEVEL}
    if len(order) < 2 or not part.decisions.number:
        return
    for run in inseparable(order, apart):
        sentence = cluster([part.judged.judges[index].name for index in run], part.decisions)
        yield _row(
            part, "not-significantly-different", run[0], len(run), NO_BOUND, sentence=sentence
        )
