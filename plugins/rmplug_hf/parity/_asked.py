"""The rows that both ways have scored, and how far apart numbers on them are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, RewardModel, notice
from rmplug.arrays import Array
from rmplug.data.rows import one_batch
from rmplug.data.sides import stacked
from rmplug.errors import some

SIDES = ("chosen", "rejected")
EXACT = 1e-3
"""Largest difference that counts as none, in standard deviations of the scores."""
ROUNDING = 2e-5
"""The same, as a share of the largest score: what float32 may lose in sums of large numbers."""
DECIMALS = range(1, 8)
FEW = (
    "only {known} of the first {count} rows have scores by both ways; give scores of the same data"
)
FORMATS = ("bfloat16", "float16")
"""Short number formats."""
SHORT = 0.05
"""Largest difference that counts as none between numbers of a short format, in standard
deviations, where something else explains the rest."""


@dataclass(frozen=True)
class Asked:
    """Rows of data, those of one side below those of the other, and what the other way gave.

    ``given`` has the shape (responses,), or (pairs,) where only margins are known.
    """

    responses: pa.RecordBatch
    sides: int
    groups: Array
    given: Array
    margins: bool

    @property
    def rows(self) -> int:
        """Rows of data."""
        return int(self.responses.num_rows) // self.sides

    def first(self, rows: int) -> Asked:
        """Return the same of the first rows of data."""
        if rows >= self.rows:
            return self
        at = np.concatenate([np.arange(rows) + side * self.rows for side in range(self.sides)])
        given = self.given[:rows] if self.margins else self.given[at]
        return Asked(
            self.responses.take(pa.array(at)), self.sides, self.groups[:rows], given, self.margins
        )

    def shown(self, scores: Array) -> Array:
        """Return the numbers that are compared, of scores (responses,): these, or margins."""
        return scores[: self.rows] - scores[self.rows :] if self.margins else scores

    def left(self, scores: Array) -> float:
        """Return the largest difference of scores (responses,) from what was given."""
        far = np.abs(self.shown(scores) - self.given)
        return float(far.max()) if np.isfinite(far).all() else float("inf")

    def decisions(self, numbers: Array) -> Array:
        """Return the margins between two responses to a prompt, a row each: of pairs all, of
        responses each one and the next to the same prompt, else NaN."""
        if self.margins:
            return numbers
        if self.sides == 2:
            return numbers[: self.rows] - numbers[self.rows :]
        following = np.r_[self.groups[1:] == self.groups[:-1], False]
        return np.where(following, numbers - np.r_[numbers[1:], np.nan], np.nan)

    @cached_property
    def resolution(self) -> float:
        """Half the distance between two numbers that the other way could have given, where decimals
        were cut; else 0."""
        given = self.given
        for decimals in DECIMALS:
            if np.allclose(given, np.round(given, decimals), rtol=0, atol=1e-12):
                return float(0.5 * 10.0**-decimals)
        return 0.0

    @cached_property
    def format(self) -> str | None:
        """The short format of which all given numbers are, if there is one."""
        with np.errstate(over="ignore"):
            half = self.given.astype(np.float16).astype(np.float64)
        bits = self.given.astype(np.float32).view(np.uint32)
        whole = (self.given.astype(np.float32) == self.given).all()
        if whole and not (bits & 0xFFFF).any():
            return "bfloat16"
        return "float16" if np.array_equal(half, self.given) else None

    @cached_property
    def tolerance(self) -> float:
        """The largest difference that counts as none."""
        most = float(np.abs(self.given).max())
        return max(EXACT * float(np.std(self.given)), ROUNDING * most, 1.01 * self.resolution)

    @cached_property
    def allowance(self) -> float:
        """The largest difference that a hypothesis may leave."""
        short = SHORT * float(np.std(self.given)) if self.format is not None else 0.0
        return max(self.tolerance, short)


def ask(data: Pairs | Responses, other: RewardModel | Features, rows: int, paired: bool) -> Asked:
    """Take the first rows of data and what the other way gives of them; rows without a finite
    number are left out, and named."""
    table = data.table.slice(0, rows)
    sides = SIDES if paired else ("response",)
    if isinstance(other, RewardModel):
        batch = one_batch(table)
        responses = stacked(batch, sides)
        given = reward_of(other, responses)
        margins = False
    else:
        columns, margins = _columns(other, paired)
        given = np.concatenate([_aligned(table, other, name) for name in columns])
    count = table.num_rows
    if not count:
        raise DataError(FEW.format(known=0, count=0))
    known = np.isfinite(given.reshape(-1, count)).all(axis=0)
    notice("no score by the other way", table["id"].filter(pa.array(~known)).to_pylist(), "dropped")
    if known.sum() < 2:
        raise DataError(FEW.format(known=known.sum(), count=count))
    table = table.filter(pa.array(known))
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    given = given.reshape(-1, count)[:, known].reshape(-1)
    return Asked(stacked(one_batch(table), sides), len(sides), groups, given, margins)


def _columns(scores: Features, paired: bool) -> tuple[tuple[str, ...], bool]:
    """Return the columns with the scores of both sides, or those of margins alone."""
    names = scores.columns
    wanted = SIDES if paired else ("reward",)
    if all(name in names for name in wanted):
        return wanted, False
    if paired and "margin" in names:
        return ("margin",), True
    raise DataError(
        f"{scores.name} has no column {some(wanted)}; give the scores of a reward step on this "
        f"data (it has {some(names, 8)})"
    )


def _aligned(table: pa.Table, scores: Features, name: str) -> Array:
    rows = pc.index_in(table["id"], value_set=scores["id"].combine_chunks())
    values = scores[name].take(rows).cast(pa.float64())
    return np.asarray(pc.fill_null(values, np.nan).to_numpy(), dtype=np.float64)


def reward_of(model: RewardModel, responses: pa.RecordBatch) -> Array:
    """Return the reward (rows,) of a model: its one output, or the one called so, or the first."""
    scores = np.asarray(model.score(responses), dtype=np.float64)
    matrix: Array = scores.reshape(responses.num_rows, len(model.outputs))
    return matrix[:, output_of(model.outputs)]


def output_of(names: Sequence[str]) -> int:
    """Return the index of the output that is the reward."""
    return tuple(names).index("reward") if "reward" in names else 0
