"""Pairs decided by a fast model, and again by an exact one where their margin is small."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.artifacts import Formats
from rmplug.checks import Check, add_check
from rmplug.errors import some
from rmplug.models.self_checks import finite_spread
from rmplug.notices import counted_once

from ._ensemble import column_of_reward

FEWEST = 16
"""Pairs of a batch that are scored again at least: what the error is measured on at first."""


def load_exact_decisions(exact: RewardModel, fast: RewardModel, bound: float) -> RewardModel:
    """Open both models; they must have the same outputs."""
    names = exact.name or "the exact model", fast.name or "the fast model"
    opened, quick = exact.open(), fast.open()
    if tuple(opened.outputs) != tuple(quick.outputs):
        raise DataError(
            f"both models must have the same outputs; {names[0]} has {some(opened.outputs)} and "
            f"{names[1]} {some(quick.outputs)}"
        )
    return DecidingModel(opened, quick, bound, names)


class DecidingModel(RewardModel):
    """A model whose scores are exact, and which decides pairs by fast ones where that is safe."""

    def __init__(
        self, exact: RewardModel, fast: RewardModel, bound: float, names: tuple[str, str]
    ) -> None:
        self.exact, self.fast, self.bound, self.names = exact, fast, bound, names
        self.outputs = tuple(exact.outputs)
        self.column = column_of_reward(names[0], exact)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return the exact scores, of shape (rows, outputs)."""
        return self._scores(self.exact, responses)

    def exactly(self) -> AbstractContextManager[Formats] | None:
        return self.exact.exactly()

    def score_sides(self, responses: pa.RecordBatch) -> Array:
        """Return scores of chosen, then of rejected responses, of shape (rows, outputs): fast ones,
        and exact ones of the pairs whose fast margin may have the wrong sign."""
        with counted_once():  # a row that both models cut is one row
            return self._decide(responses)

    def _decide(self, responses: pa.RecordBatch) -> Array:
        pairs = responses.num_rows // 2
        quick = self._scores(self.fast, responses)
        sizes = np.abs(self._margins(quick))
        sizes[~np.isfinite(sizes)] = -1.0
        order = np.argsort(sizes, kind="stable")
        # margins of 0, as of equal texts, and those that are no number tell nothing of the error
        silent = int(np.count_nonzero(sizes <= 0))
        scores, again, due = quick.copy(), order[:0], min(silent + FEWEST, pairs)
        while len(again) < due:
            rows = _both_sides(order[len(again) : due], pairs)
            scores[rows] = self._scores(self.exact, responses.take(pa.array(rows)))
            again = order[:due]
            with np.errstate(invalid="ignore"):
                off = (self._margins(scores) - self._margins(quick))[order[silent:due]]
            known = off[np.isfinite(off)]
            error = float(np.sqrt(np.mean(known**2))) if len(known) else 0.0
            due = max(due, int(np.count_nonzero(sizes <= self.bound * error)))
        self._record(quick, scores, again)
        return scores

    def _scores(self, model: RewardModel, responses: pa.RecordBatch) -> Array:
        scores = np.array(model.score(responses), dtype=np.float64)
        return scores.reshape(responses.num_rows, len(self.outputs))

    def _margins(self, scores: Array) -> Array:
        chosen, rejected = np.split(scores[:, self.column], 2)
        with np.errstate(invalid="ignore"):
            return np.asarray(chosen - rejected)

    def _record(self, quick: Array, scores: Array, again: Array) -> None:
        """Record how far fast scores are from exact ones, and the pairs they would turn."""
        rows = _both_sides(again, len(quick) // 2)
        with np.errstate(invalid="ignore"):
            off = np.abs(quick[rows] - scores[rows]).max(axis=1)
        known = off[np.isfinite(off)]
        if not len(known):
            return
        with np.errstate(invalid="ignore"):
            before, after = (np.sign(self._margins(each)[again]) for each in (quick, scores))
        # two margins that are both no number are alike
        turned = int(np.count_nonzero((before != after) & ~(np.isnan(before) & np.isnan(after))))
        said = f"scores by {self.names[1]}", self.names[0]
        check = Check(*said, len(known), float(known.max()), float(known.mean()), alone=False)
        check.spread, check.pairs, check.flipped = finite_spread(quick), len(again), turned
        add_check(check)


def _both_sides(pairs: Array, count: int) -> Array:
    """Return the rows of some of ``count`` pairs: chosen, then rejected ones."""
    return np.concatenate([pairs, pairs + count])
