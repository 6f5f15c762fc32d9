"""The scores of each reward on the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Responses, notice
from rmplug.data.rows import reorder
from rmplug.errors import some

from ._counterfactual_arrays import Floats


@dataclass(frozen=True)
class Scores:
    """The score of each row by one reward, NaN where there is none; its name."""

    model: str
    values: Floats


def scores_of(data: Responses, rewards: Sequence[Features]) -> list[Scores]:
    """Return every score of every reward, in the order of the rows; of a reward with several
    outputs, ``reward`` alone where there is one. Rows without a finite score are named."""
    scores = [one for reward in rewards for one in _outputs(data, reward)]
    names = [one.model for one in scores]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the reward {twice[0]!r} is given twice; name each step once")
    for one in scores:
        odd = data["id"].filter(pa.array(~np.isfinite(one.values))).to_pylist()
        notice(f"{one.model}: no finite score, left out with its comparisons", odd, "dropped")
    return scores


def _outputs(data: Responses, reward: Features) -> Iterator[Scores]:
    names = [name for name in reward.values if name.partition(".")[0] == "reward"]
    names = ["reward"] if "reward" in names else names
    names = names or (reward.values if len(reward.values) == 1 else [])
    if not names:
        raise DataError(
            f"{reward.name} has no column 'reward' (it has {some(reward.values)}); give a query "
            "of a reward model on responses, such as the kind 'reward'"
        )
    table = reorder(reward.rows, data["id"], reward.name)
    for name in names:
        values = np.array(table[name].to_numpy(), dtype=np.float64)
        values[~np.isfinite(values)] = np.nan
        yield Scores(reward.name + name.removeprefix("reward"), values)
