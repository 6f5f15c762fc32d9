"""Models that a benchmark measures: one score per row of each reward, and of each baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.errors import some
from rmplug_bench.baselines._scores import baseline_scores
from rmplug_bench.baselines._text_measures import TextCounts
from rmplug_bench.statistics._scored import scored

from ._rules import Floats

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredModel:
    """A reward or a baseline; ``scores`` are margins of pairs, or scores of responses."""

    name: str
    kind: str
    scores: Floats
    sides: Floats | None = None
    """The scores of both responses of each pair, of shape (pairs, 2), where they are known."""

    def take(self, rows: Mask) -> ScoredModel:
        """Return the model on a part of the rows."""
        sides = None if self.sides is None else self.sides[rows]
        return ScoredModel(self.name, self.kind, self.scores[rows], sides)

    def __str__(self) -> str:
        """Return the model's name in a sentence."""
        return f"the {self.name} baseline" if self.kind == "baseline" else self.name


def models(data: Pairs | Responses, rewards: Sequence[Features]) -> list[ScoredModel]:
    """Return each reward; of several outputs the one called ``reward``, or else each as a model."""
    outputs = [one for reward in rewards for one in _outputs(data, reward)]
    names = [one.name for one in outputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the reward {twice[0]!r} is given twice; name each step once")
    return outputs


def _outputs(data: Pairs | Responses, reward: Features) -> list[ScoredModel]:
    if isinstance(data, Pairs):
        outputs = [
            ScoredModel(one.name, "model", one.margin, one.sides) for one in scored(data, [reward])
        ]
    else:
        outputs = list(_of_responses(data, reward))
    return [one for one in outputs if one.name == reward.name] or outputs


def _of_responses(data: Responses, reward: Features) -> Iterator[ScoredModel]:
    names = [name for name in reward.values if name.split(".")[0] == "reward"]
    names = names or (reward.values if len(reward.values) == 1 else [])
    if not names:
        raise DataError(
            f"{reward.name} has no column 'reward' (it has {some(reward.values)}); "
            "give a query of a reward model on responses, such as the kind 'reward'"
        )
    table = _aligned(data, reward)
    for name in names:
        output = name.removeprefix("reward") if name.startswith("reward") else ""
        scores = np.asarray(table[name].to_numpy(), dtype=np.float64)
        odd = data["id"].filter(pa.array(~np.isfinite(scores))).to_pylist()
        notice(f"{reward.name}{output}: no finite score", odd)
        yield ScoredModel(f"{reward.name}{output}", "model", scores)


def _aligned(data: Responses, reward: Features) -> pa.Table:
    """Return the reward's rows in the order of the responses; it may have more."""
    table, ids = reward.table, data["id"]
    if table["id"].equals(ids):
        return table
    rows = pc.index_in(ids, value_set=table["id"])
    if rows.null_count:
        lacking = ids.filter(pc.is_null(rows)).to_pylist()
        raise DataError(
            f"{reward.name} has no row for {len(lacking)} of {len(ids)} responses "
            f"({some(lacking)}); measure it on the data it was computed from, or on a part of it"
        )
    return table.take(rows)


def baselines(data: Pairs | Responses, names: Sequence[str], seed: int) -> list[ScoredModel]:
    """Return the baselines that these data have what they need for."""
    applicable, counts = [], TextCounts(data)
    for name in names:
        scores, sides = baseline_scores(name, counts, seed), None
        if isinstance(data, Pairs):
            scores, sides = scores[:, 0] - scores[:, 1], scores
        if np.isfinite(scores).any():
            applicable.append(ScoredModel(name, "baseline", scores, sides))
    return applicable
