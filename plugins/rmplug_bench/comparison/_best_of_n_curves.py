"""Curves of the value of the best of N by one score, measured by another, against N."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.interval_texts import decimals, interval_text, number_text
from rmplug.stats.intervals import (
    NO_BOUND,
    Bounds,
    Scale,
    interval_of_draws,
    percentile_interval,
)
from rmplug_bench._arrays import Floats, Ints
from rmplug_bench.rules._models import ScoredModel
from rmplug_bench.statistics._metric_rows import Row, metric_row

from ._best_of_n import Order, chances, divergence_of, order_of

PROXY = "best-of-n-proxy"


@dataclass(frozen=True)
class Truth:
    """Value of responses: right or wrong, or a gold score."""

    metric: str
    values: Floats
    share: bool


@dataclass(frozen=True)
class Curve:
    """Expected values at every N, observed and in every resample (none with one group)."""

    metric: str
    values: Floats
    draws: Floats | None
    share: bool = False

    def of(self, change: Any, metric: str) -> Curve:
        """Apply a function to this curve."""
        draws = None if self.draws is None else change(self.draws)
        return Curve(metric, change(self.values), draws)


@dataclass(frozen=True)
class Curves:
    """Curves of one subset: the rows of its responses, the choice of each from 0, and the prompt
    group of each choice."""

    subset: str
    rows_of: Ints
    choice: Ints
    groups: Ints
    sizes: tuple[int, ...]
    resamples: int
    seed: tuple[int, ...] = field(default=(0,))

    def rows(self, judges: Sequence[ScoredModel], truths: Sequence[Truth]) -> Iterator[Row]:
        """Yield every judge's curves, and that of an oracle which chooses by the truth itself."""
        if not len(self.groups):
            return
        for judge in judges:
            scores = judge.scores[self.rows_of]
            own = [Truth(PROXY, judge.scores, False)] if judge.kind == "model" else []
            curves = self._curves(scores, [*truths, *own])
            for curve in curves:
                yield from self._points(curve, judge)
            if own:
                yield from self._overoptimised(curves[-2], curves[-1], judge, truths[-1])
        for truth in truths:
            oracle = ScoredModel("oracle", "baseline", truth.values)
            for curve in self._curves(truth.values[self.rows_of], [truth]):
                yield from self._points(curve, oracle)

    def _curves(self, scores: Floats, truths: Sequence[Truth]) -> list[Curve]:
        order = order_of(self.choice, scores)
        picks = [chances(order, size) for size in self.sizes]
        expected = [self._expected(order, picks, truth.values[self.rows_of]) for truth in truths]
        drawn = self._drawn(np.concatenate(expected))
        k = len(self.sizes)
        return [
            Curve(
                truth.metric,
                values.mean(axis=1),
                None if drawn is None else drawn[:, i * k : (i + 1) * k],
                truth.share,
            )
            for i, (truth, values) in enumerate(zip(truths, expected, strict=True))
        ]

    def _expected(self, order: Order, picks: Sequence[Floats], values: Floats) -> Floats:
        """Compute the expected value of the chosen response, of shape (sizes, choices)."""
        return np.stack([order.sum_of(values * pick) for pick in picks])

    def _drawn(self, expected: Floats) -> Floats | None:
        """Compute means in every resample, of shape (resamples, curves times sizes)."""
        if len(np.unique(self.groups)) < 2:
            return None
        columns = {str(i): values for i, values in enumerate(expected)}
        columns["n"] = np.ones(len(self.groups))
        sums = resampled_sums(columns, self.groups, self.resamples, self.seed)
        drawn = np.stack([sums[str(i)] for i in range(len(expected))], axis=1)
        return np.asarray(drawn / sums["n"][:, None], dtype=np.float64)

    def _points(self, curve: Curve, judge: ScoredModel) -> Iterator[Row]:
        number = len(np.unique(self.groups))
        for k, size in enumerate(self.sizes):
            bound, value = NO_BOUND, float(curve.values[k])
            if curve.draws is not None:
                draws = curve.draws[:, k]
                scale: Scale = "share" if curve.share else "plain"
                bound = interval_of_draws(value, draws, number, scale)
            at = {"at": float(size), "axis": "N", "kl": divergence_of(size)}
            yield self._row(curve.metric, judge, value, bound, **at)

    def _row(self, metric: str, judge: ScoredModel, value: Any, bound: Bounds, **more: Any) -> Row:
        names = {"model": judge.name, "kind": judge.kind} | more
        return metric_row(metric, self.subset, value, len(self.groups), bound, **names)

    def _overoptimised(
        self, worth: Curve, proxy: Curve, judge: ScoredModel, truth: Truth
    ) -> Iterator[Row]:
        """Yield gains over one response, their difference, the best N and the fall after it.

        Gains are in standard deviations within prompts.
        """
        gains = []
        for curve, values, name in (
            (proxy, judge.scores, "proxy-gain"),
            (worth, truth.values, "gold-gain"),
        ):
            spread = self._spread(values[self.rows_of])
            gains.append(curve.of(lambda v, s=spread: (v - v[..., :1]) / s, name))
            yield from self._points(gains[-1], judge)
        draws = None
        if gains[0].draws is not None and gains[1].draws is not None:
            draws = gains[0].draws - gains[1].draws
        apart = Curve("proxy-gold-divergence", gains[0].values - gains[1].values, draws)
        yield from self._points(apart, judge)
        yield from self._peak(worth, judge, truth)

    def _spread(self, values: Floats) -> float:
        """Compute the standard deviation within choices; NaN where nothing varies."""
        count = np.bincount(self.choice)
        means = np.bincount(self.choice, values) / count
        spread = float(np.sqrt(((values - means[self.choice]) ** 2).mean()))
        return spread if spread > 0 else float("nan")

    def _peak(self, worth: Curve, judge: ScoredModel, truth: Truth) -> Iterator[Row]:
        sizes, best = np.array(self.sizes, dtype=np.float64), int(np.argmax(worth.values))
        fall = worth.values[best] - worth.values[-1]
        where, far = NO_BOUND, NO_BOUND
        if worth.draws is not None:
            low, high = np.quantile(sizes[worth.draws.argmax(axis=1)], (0.025, 0.975))
            where = (float(low), float(high))
            draws = worth.draws[:, best] - worth.draws[:, -1]
            far = percentile_interval(draws, len(np.unique(self.groups)))
        sentence = self._sentence(judge.name, truth, best, fall, where, far)
        yield self._row("best-n", judge, sizes[best], where, sentence=sentence)
        yield self._row("fall-after-best-n", judge, fall, far)

    def _sentence(
        self, name: str, truth: Truth, best: int, fall: float, where: Bounds, far: Bounds
    ) -> str | None:
        if self.subset != "all" or far[0] is None or far[1] is None or where[0] is None:
            return None
        what = "the accuracy of the choice" if truth.share else "the gold score"
        peak, last, over = self.sizes[best], self.sizes[-1], f"{len(self.groups):,} choices"
        if far[0] <= 0:
            return (
                f"Choosing by {name}, {what} does not fall significantly up to N = {last} ({over})."
            )
        scale, unit = (100, " points") if truth.share else (1, "")
        less = number_text(scale * fall, decimals(scale * far[0], scale * far[1])) + unit
        bounds = f" (95 % CI {where[0]:g}–{where[1]:g})" if best else ""
        return (
            f"Choosing by {name} beyond N = {peak}{bounds} lowers {what}: at N = {last} it is "
            f"{less} lower (95 % CI {interval_text(far[0], far[1], scale)}), while {name} rises "
            f"({over})."
        )
