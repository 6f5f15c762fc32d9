"""Features of pairs as features of their responses."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug import DataError, Features
from rmplug.testing import check_step, small_pairs
from rmplug_text.features import Lexical, PerResponse
from rmplug_text.samplers import ToResponses


def test_each_side_of_a_pair_becomes_a_row():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    pairs = Features(
        {
            "id": ["a", "b"],
            "group": ["g", "h"],
            "prompt": vectors[0],
            "chosen": vectors[1],
            "rejected": vectors[2],
            "margin": [0.5, -1.0],
        },
        "states",
    )
    found = Features(PerResponse().compute(pairs).table)
    assert found["id"].to_pylist() == ["a/chosen", "a/rejected", "b/chosen", "b/rejected"]
    assert found["group"].to_pylist() == ["g", "g", "h", "h"]
    assert found["response"].to_pylist() == [[4, 5], [8, 9], [6, 7], [10, 11]]
    assert found["prompt"].to_pylist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert found["margin"].to_pylist() == [0.5, 0.5, -1.0, -1.0]
    assert found.columns == ["id", "group", "prompt", "response", "margin"]


def test_features_of_pairs_become_those_of_their_responses():
    pairs, step = small_pairs(), Lexical(measures=("characters", "markdown"))
    turned = PerResponse().compute(step.compute(pairs)).table
    asked = step.compute(ToResponses().sample(pairs)).table
    assert turned.select(asked.column_names).equals(asked)


def test_a_column_of_one_side_alone_is_kept_for_both():
    found = PerResponse().compute(
        Features({"id": ["a"], "chosen": [1.0], "rejected": [2.0], "chosen.x": [3.0]})
    )
    assert found["response"].to_pylist() == [1.0, 2.0]
    assert found["chosen.x"].to_pylist() == [3.0, 3.0]


def test_features_without_sides_are_refused():
    features = Features({"id": ["a"], "length": [3.0]}, "words")
    with pytest.raises(DataError, match=r"words has no columns chosen and rejected.*it has length"):
        PerResponse().compute(features).table  # noqa: B018


def test_it_keeps_the_promises_of_every_step():
    features = Lexical(measures=("words",)).compute(small_pairs())
    check_step(PerResponse, {}, {"features": Features(features.table, "words")})
