"""How far the rewards of a pair disagree, each on the scale of its own margins."""

from __future__ import annotations

import numpy as np

from ._contributions import Floats
from ._inputs import Inputs, RewardColumns

MEMBER = ".member."


def unit_of(reward: RewardColumns) -> float | None:
    """Return the root mean square of a reward's margins; None where all are 0 or missing.

    Zero stays zero in this unit: a tie is a tie on every scale.
    """
    margins = reward.margin[np.isfinite(reward.margin)]
    unit = float(np.sqrt(np.mean(margins**2))) if len(margins) else 0.0
    return unit if unit > 0 else None


def disagreement(inputs: Inputs) -> Floats | None:
    """Compute the standard deviation, over the rewards, of the margins of each pair in their units.

    A reward without a margin does not count; NaN where fewer than two have one, and None where
    fewer than two rewards can be compared. Members stand for the combination they belong to.
    """
    members = [one for one in inputs.rewards if MEMBER in one.name]
    rewards = members if len(members) > 1 else inputs.rewards
    units = [(one.margin, unit_of(one)) for one in rewards]
    scaled = [margin / unit for margin, unit in units if unit is not None]
    if len(scaled) < 2:
        return None
    margins = np.stack(scaled)
    known = np.isfinite(margins)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, margins, 0.0).sum(axis=0) / number
    square = np.where(known, (margins - mean) ** 2, 0.0).sum(axis=0) / number
    return np.where(known.sum(axis=0) > 1, np.sqrt(square), np.nan)
