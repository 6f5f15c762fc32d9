"""The rows about which a reward is least sure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Pairs, Responses, Selection
from rmplug.arrays import Array
from rmplug.errors import some

from ._label_pool import LabelPool, first_of_groups

WHY = {
    "margin": "small margin",
    "probability": "probability near one half",
    "disagreement": "members disagree",
    "random": "at random",
}
NAMES = {"margin": ("margin",), "probability": ("probability", "prediction")}
MEMBERS = ("margin.member.", "reward.member.")


def choose_uncertain(
    data: Pairs | Responses,
    reward: Features | None,
    chosen: Selection | None,
    by: str,
    size: int,
    one_per_group: bool,
    seed: int,
) -> Selection:
    """Choose the rows with the largest uncertainty, equal ones at random."""
    pool = LabelPool.of(data, chosen)
    names = (None, None) if reward is None else (reward.name, reward.values)
    fault = no_uncertainty(by, *names)
    if fault:
        raise DataError(fault)
    rng = np.random.default_rng(seed)
    free, shuffled = pool.free(one_per_group), rng.permutation(len(pool.ids))
    gain = np.zeros(len(pool.ids))
    if reward is not None and by != "random":
        gain = uncertainty(pool.aligned(reward), by)
        free = pool.leave_out(free, np.isfinite(gain), f"no finite {by}")
    candidates = shuffled[free[shuffled]]
    order = candidates[np.argsort(-gain[candidates], kind="stable")]
    best = (first_of_groups(order, pool.groups) if one_per_group else order)[:size]
    return pool.select(chosen, best, gain[best], [WHY[by]] * len(best))


def no_uncertainty(by: str, name: str | None, columns: Iterable[str] | None) -> str | None:
    """Explain that a reward does not have what is asked for; None where it has, or may have."""
    if by == "random":
        return None
    if name is None:
        return f"by {by} needs the input reward; or choose by random"
    if columns is None or _columns(by, list(columns)):
        return None
    names = list(columns)
    wanted = "two columns margin.member.* of an ensemble" if by == "disagreement" else NAMES[by][0]
    return f"{name} does not have {wanted} (it has {some(names, 8)})"


def _columns(by: str, names: list[str]) -> list[str]:
    """Return the columns that the uncertainty is computed from; a single column counts as that."""
    if by == "disagreement":
        members = ([n for n in names if n.startswith(head)] for head in MEMBERS)
        return next((found for found in members if len(found) > 1), [])
    found = [name for name in NAMES[by] if name in names]
    return found[:1] or (names if len(names) == 1 else [])


def uncertainty(table: pa.Table, by: str) -> Array:
    """Compute the uncertainty of each row, larger for less sure ones, shape (rows,)."""
    names = [name for name in table.column_names if name not in ("id", "group")]
    values = [np.asarray(table[name].to_numpy(), np.float64) for name in _columns(by, names)]
    if by == "disagreement":
        return np.asarray(np.std(values, axis=0))
    return np.asarray(-np.abs(values[0] - (0.5 if by == "probability" else 0.0)))
