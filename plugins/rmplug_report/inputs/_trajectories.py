"""Rewards by token, as the query ``token-rewards`` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import Features

from ._hidden import is_hidden

ENDING = "rewards"
MOST_TOKENS = 600
"""Tokens of a response that the page shows; of the prompt, the last ``CONTEXT``."""
CONTEXT = 60


@dataclass(frozen=True)
class Trajectory:
    """The tokens of one conversation that are shown: their texts, the reward after each, and the
    change that each makes (0 of the first). ``start`` is the index of the response's first token
    among them; ``before`` and ``after`` are the numbers of tokens left out; of a ``hidden`` row the
    texts are empty."""

    step: str
    id: str
    side: str
    output: str
    texts: Sequence[str]
    rewards: Sequence[float]
    changes: Sequence[float]
    start: int
    before: int
    after: int
    hidden: bool

    @property
    def score(self) -> float:
        """The reward after the last token that is shown."""
        return self.rewards[-1]


def trajectories(
    features: Features, most: int, hidden: frozenset[str] = frozenset()
) -> list[Trajectory]:
    """Return the trajectories of the first responses, ``most`` of them: of a pair both sides; of
    ``hidden`` rows without texts."""
    kinds = _kinds(features)
    sides = len({side for side, _ in kinds})
    if not kinds:
        return []
    rows = features.rows.read(0, min(-(-most // sides), len(features))).to_pylist()
    made = [_of(features.name, row, kind, hidden) for row in rows for kind in kinds]
    return [one for one in made if one is not None][: most * (len(kinds) // sides)]


def left_out_of(features: Features, most: int) -> int:
    """Return the number of responses whose trajectories are not among the first."""
    sides = len({side for side, _ in _kinds(features)})
    return max(0, sides * len(features) - most)


def _kinds(features: Features) -> list[tuple[str, str]]:
    """Return side and output of each list of rewards that has its texts."""
    schema = features.rows.schema
    lists = {f.name for f in schema if pa.types.is_list(f.type)}
    kinds = []
    for name in schema.names:
        side, _, rest = name.partition(".")
        what, _, output = rest.partition(".")
        if name in lists and what == ENDING and f"{side}.texts" in lists:
            kinds.append((side, output))
    return kinds


def _of(
    step: str, row: dict[str, object], kind: tuple[str, str], hidden: frozenset[str]
) -> Trajectory | None:
    side, output = kind
    name = f"{side}.{ENDING}.{output}" if output else f"{side}.{ENDING}"
    every, texts = row[name], row[f"{side}.texts"]
    assert isinstance(every, list) and isinstance(texts, list)
    rewards = np.asarray(every, dtype=np.float64)
    if not len(rewards) or len(texts) != len(rewards) or not np.isfinite(rewards).all():
        return None
    begins = row.get(f"{side}.start") or 0.0
    start = int(begins) if isinstance(begins, float) else 0
    first = max(0, min(start, len(rewards) - 1) - CONTEXT)
    last = min(len(rewards), max(start, first) + MOST_TOKENS)
    secret = is_hidden(str(row["id"]), hidden)
    changes = np.diff(rewards, prepend=rewards[0])
    return Trajectory(
        step,
        str(row["id"]),
        side,
        output,
        [""] * (last - first) if secret else texts[first:last],
        rewards[first:last].tolist(),
        changes[first:last].tolist(),
        start - first,
        first,
        len(rewards) - last,
        secret,
    )
