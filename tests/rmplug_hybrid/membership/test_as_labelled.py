"""Features follow the labels of their pairs."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug import DataError, Features, Pairs
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_hf import Encoder, HiddenState, LinearHead
from rmplug_hybrid.candidates.relabel import Relabel
from rmplug_hybrid.membership.as_labelled import AsLabelled


def turned_pairs() -> tuple[Pairs, Pairs]:
    """Seven pairs, and the same with every second one labelled the other way."""
    pairs = small_pairs()
    margins = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
    reward = Features({"id": pairs["id"], "margin": np.array(margins)}, "reward")
    return pairs, Relabel().sample(pairs, reward)


def test_sides_change_places_and_signs_where_the_label_was_turned() -> None:
    pairs, other = turned_pairs()
    rows = np.arange(7.0)
    features = Features(
        {
            "id": pairs["id"],
            "chosen": np.stack([rows, rows], axis=1),
            "rejected": np.stack([-rows, -rows], axis=1),
            "chosen.words": rows + 10,
            "rejected.words": rows + 20,
            "difference.words": np.full(7, -10.0),
            "margin": np.ones(7),
            "prompt.words": rows,
        },
        "features",
    )
    found = AsLabelled().compute(features, pairs, other.take([3, 2]))
    assert found["id"].to_pylist() == ["pair-3", "pair-2"]
    assert found["chosen"].to_pylist() == [[-3, -3], [2, 2]]
    assert found["rejected"].to_pylist() == [[3, 3], [-2, -2]]
    assert found["chosen.words"].to_pylist() == [23, 12]
    assert found["rejected.words"].to_pylist() == [13, 22]
    assert found["difference.words"].to_pylist() == [10, -10]
    assert found["margin"].to_pylist() == [-1, 1]
    assert found["prompt.words"].to_pylist() == [3, 2]


def test_a_head_learns_the_same_from_turned_states_as_from_new_ones(tmp_path) -> None:
    pairs, other = turned_pairs()
    model = Encoder(name="minilm", device="cpu").load()
    asked = {
        name: Features(HiddenState().query(model, data).table, name)
        for name, data in (("before", pairs), ("after", other))
    }
    turned = AsLabelled().compute(asked["before"], pairs, other)
    for side in ("chosen", "rejected"):
        new, old = (np.stack(f[side].to_pylist()) for f in (asked["after"], turned))
        np.testing.assert_allclose(old, new, atol=1e-6)
    step = LinearHead(folds=2, l2=(0.1,))
    head = run_step(step, {"model": model, "data": other, "states": turned}, tmp_path)
    assert {row["metric"] for row in head.numbers} >= {"accuracy", "log-loss"}


def test_other_pairs_and_other_responses_are_named() -> None:
    pairs, other = turned_pairs()
    features = Features({"id": pairs["id"], "margin": np.ones(7)}, "features")
    with pytest.raises(DataError, match="pairs has no pair pair-6; give the pairs that data was"):
        AsLabelled().compute(features.take(list(range(6))), pairs.take(list(range(6))), other)
    with pytest.raises(DataError, match="features are not of the rows of pairs"):
        AsLabelled().compute(features.take([1, 0]), pairs, other)
    place = pairs.columns.index("chosen")
    others = pairs["chosen"].take([1, 0, 2, 3, 4, 5, 6])
    table = pairs.table.set_column(place, "chosen", others)
    with pytest.raises(DataError, match="the responses of pair-0, pair-1 are not those"):
        AsLabelled().compute(features, pairs, Pairs(table))


def test_it_conforms() -> None:
    pairs, other = turned_pairs()
    features = Features({"id": pairs["id"], "margin": np.ones(7)}, "features")
    check_step(AsLabelled, {}, {"features": features, "of": pairs, "data": other})
