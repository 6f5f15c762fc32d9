"""What tests of candidates share: reference cases, two labellers, and features that go together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rmplug import Features, Pairs
from rmplug_hybrid import HybridFile, Membership, Tags
from rmplug_hybrid.names.feature_names import LENGTHS, SCORES, list_features

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid"


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no reference case at {path}")
    return path


def scores_of(pairs: Pairs) -> Features:
    names = (*SCORES, *LENGTHS)
    return Features({"id": pairs["id"], **{name: pairs[name] for name in names}}, "scores")


def closed_membership(file: Path) -> tuple[Features, Features]:
    """The 90 features of a file of pairs by the published rules, and its scores."""
    pairs = HybridFile(path=file, label=None).load()
    scores = scores_of(pairs)
    tags = Features(Tags(match="exact", missing="none").compute(pairs).table, "tags")
    made = Membership(bins="closed", give="original").compute([scores, tags])
    return Features(made.table, "membership"), scores


def labelled(rows: int, seed: int = 0, ties: float = 0.1) -> tuple[Pairs, Pairs]:
    """Pairs labelled by a human and by an AI who agree on three in four; each has ties."""
    rng = np.random.default_rng(seed)
    same = rng.random(rows) < 0.75
    return tuple(
        Pairs(
            {
                "id": [f"p{row}" for row in keep],
                "prompt": [f"question {row}" for row in keep],
                "chosen": [f"{'good' if as_is[row] else 'bad'} {row}" for row in keep],
                "rejected": [f"{'bad' if as_is[row] else 'good'} {row}" for row in keep],
            },
            name,
        )
        for name, as_is in (("human", np.ones(rows, dtype=bool)), ("ai", same))
        for keep in [np.flatnonzero(rng.random(rows) >= ties)]
    )  # type: ignore[return-value]


def made_up(rows: int, seed: int = 0) -> Features:
    """The 90 features, made up: bins of nine measures that go together, common and rare tags."""
    rng = np.random.default_rng(seed)
    names = list_features()
    members = np.zeros((rows, len(names)), dtype=bool)
    hidden, every = rng.normal(size=(rows, 2)), np.arange(rows)
    for measure in range(9):
        value = hidden[:, measure % 2] * 0.6 + rng.normal(size=rows) * 0.8
        rank = value.argsort().argsort() / rows
        members[every, 3 * measure + np.digitize(rank, [0.33, 0.67])] = True
    often = rng.permutation(1 / np.arange(1, 47) ** 1.1)
    for _ in range(2):
        members[every, 27 + rng.choice(46, size=rows, p=often / often.sum())] = True
    members[:, 73] = rng.random(rows) < 0.95
    start = 74
    for shares in ([5, 3, 2], [1, 3, 4, 2], [80, 12, 5, 3], [3, 5, 2]):
        chosen = rng.choice(len(shares), size=rows, p=np.array(shares) / sum(shares))
        members[every, start + chosen] = True
        start += len(shares)
    members[:, 88:] = rng.random((rows, 2)) < [0.3, 0.4]
    columns = {name: members[:, place] for place, name in enumerate(names)}
    return Features({"id": [f"p{row}" for row in range(rows)], **columns}, "membership")


def matrix_of(features: Features, prefix: str = "") -> np.ndarray:
    names = [name for name in features.values if name.startswith(prefix)]
    return np.column_stack([np.asarray(features[name], dtype=float) for name in names])
