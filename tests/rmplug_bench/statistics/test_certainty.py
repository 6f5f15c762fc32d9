"""No evaluator says that an accuracy between 0 and 1 is certain."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug import Features, Pairs, Responses
from rmplug_bench import Agreement, BestOfN, Compare, Pairwise

PROMPTS = 12


def half_right(step):
    """Each prompt has a pair that the model is right on and one that it is wrong on."""
    count = 2 * PROMPTS
    ids = [f"p{i}" for i in range(count)]
    texts = {"prompt": [f"q{i // 2}" for i in range(count)], "chosen": ids, "rejected": ids[::-1]}
    data = Pairs({"id": ids, **texts}, name="pairs")
    margins = np.tile([1.0, -1.0], PROMPTS)
    rewards = [
        Features({"id": data["id"], "margin": margins * sign}, name)
        for name, sign in (("one", 1), ("two", 2))
    ]
    return step.evaluate(data, rewards, seed=1).table.to_pylist()


def tied(step):
    """Each prompt has a right and a wrong response of equal score."""
    count = 2 * PROMPTS
    ids = [f"r{i}" for i in range(count)]
    data = Responses(
        {
            "id": ids,
            "prompt": [f"q{i // 2}" for i in range(count)],
            "response": ids,
            "label": np.tile([1.0, 0.0], PROMPTS),
        }
    )
    reward = Features({"id": data["id"], "reward": np.zeros(count)}, "one")
    return step.evaluate(data, [reward], seed=1).table.to_pylist()


@pytest.mark.parametrize(
    ("rows", "metrics"),
    [
        (half_right(Pairwise(baselines=("longer",))), {"accuracy", "accuracy-by-length-gap"}),
        (half_right(Compare(baselines=("longer",))), {"accuracy"}),
        (half_right(Agreement(baselines=())), {"same-decision", "all-right", "all-wrong"}),
        (tied(BestOfN(sizes=(1, 2), baselines=())), {"top-1", "best-of-n-accuracy"}),
    ],
    ids=["pairwise", "compare", "agreement", "best-of-n"],
)
def test_a_share_that_is_the_same_for_every_prompt_has_an_interval(rows, metrics):
    shares = [row for row in rows if row["metric"] in metrics and row["value"] is not None]
    between = [row for row in shares if 0 < row["value"] < 1]
    assert between
    for row in between:
        assert row["low"] + 0.1 < row["value"] < row["high"] - 0.1, row
