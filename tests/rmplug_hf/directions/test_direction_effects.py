"""Effects of directions on rewards: those of planted ones are what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from planted_states import directions_of, unit

from rmplug import DataError, Known, Pairs
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step
from rmplug_hf import DirectionEffects, Encoder, LinearHead, SequenceClassifier
from rmplug_hf.directions._projection import head_weights
from rmplug_text.samplers import ToResponses

WIDTH = 32
WORDS = ["egg", "haiku", "prime", "river", "stone", "kettle", "capital", "answer", "seven", "blue"]


@pytest.fixture(scope="module")
def pairs():
    """Pairs of two responses of random words, two pairs a prompt."""
    rng = np.random.default_rng(0)
    sides = [[" ".join(rng.choice(WORDS, rng.integers(1, 8))) for _ in range(40)] for _ in "ab"]
    return Pairs({
        "id": [f"p{n}" for n in range(40)],
        "prompt": [f"Say {n // 2}" for n in range(40)],
        "chosen": sides[0],
        "rejected": sides[1],
    }, "pairs")  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tiny, pairs, tmp_path_factory):
    encoder = Encoder(path=tiny("bert", head="none"), device="cpu").load()
    step = LinearHead(folds=2, l2=[0.01])
    return step.train(encoder, pairs, seed=0, directory=tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def head(checkpoint):
    return checkpoint.open()


def effects(model, data, fit, **params):
    table = DirectionEffects(**params).evaluate(model, data, fit, seed=0).table
    return {(row["metric"], row["subset"]): row for row in table.to_pylist()}


def rewards_of(model, pairs):
    batch = one_batch(ToResponses().sample(pairs).table)
    return model.score(batch), np.repeat(np.arange(len(pairs)) // 2, 2)


def within(rewards, groups):
    means = np.bincount(groups, rewards) / np.bincount(groups)
    return np.sqrt(((rewards - means[groups]) ** 2).sum() / (len(groups) - len(means)))


def test_it_conforms(checkpoint, head, tmp_path):
    fit = directions_of(tmp_path, head.weight)
    check_step(DirectionEffects, {"random": 1}, {"model": checkpoint, "directions": fit})


def test_the_direction_of_the_head_has_the_effect_that_it_must_have(head, pairs, tmp_path):
    found = effects(head, pairs, directions_of(tmp_path, head.weight, pooling="mean"))
    rewards, groups = rewards_of(head, pairs)
    spread = within(rewards, groups)
    assert found["deviation-within-prompts", "all"]["value"] == pytest.approx(spread)
    assert found["cosine", "x"]["value"] == pytest.approx(1)
    removed = found["reward-change-removed", "x"]
    expected = np.abs(rewards - head.bias).mean() / spread
    assert removed["value"] == pytest.approx(expected) and removed["n"] == 80
    assert removed["low"] < removed["value"] < removed["high"] and removed["layer"] == 2
    # the fit by hand says that what its probe reads has a standard deviation of 2
    for name, sign in (("plus", 1), ("minus", -1)):
        change = found[f"reward-change-{name}", "x"]
        assert change["value"] == pytest.approx(sign * 2 / spread)
    assert found["preference-changed", "x"]["value"] > 0.9
    by_chance = found["cosine", "random direction"]
    assert by_chance["kind"] == "baseline" and by_chance["n"] == 200
    assert by_chance["low"] == pytest.approx(-1.96 / np.sqrt(WIDTH), abs=0.1)


def test_a_direction_across_that_of_the_head_has_no_effect(head, pairs, tmp_path):
    across = np.random.default_rng(2).normal(size=WIDTH)
    across -= (across @ unit(head.weight)) * unit(head.weight)
    found = effects(head, pairs, directions_of(tmp_path, across))
    for metric in ("reward-change-removed", "reward-change-plus", "preference-changed", "cosine"):
        assert found[metric, "x"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["reward-change-removed", "random direction"]["low"] > 0.01


def test_directions_of_several_classes_stand_beside_as_many_random_ones(head, pairs, tmp_path):
    weights = np.random.default_rng(8).normal(size=(12, WIDTH))
    classes = tuple(f"class {n}" for n in range(12))
    several = directions_of(tmp_path / "several", weights, classes=classes)
    found = effects(head, pairs, several, random=8)
    own = found["reward-change-removed", "x"]
    chance = found["reward-change-removed", "12 random directions"]
    assert (own["directions"], chance["directions"], chance["kind"]) == (12, 12, "baseline")
    assert ("reward-change-removed", "random direction") not in found
    # these directions have nothing to do with the reward, but are many
    assert 0.5 < own["value"] / chance["value"] < 2
    single = effects(head, pairs, directions_of(tmp_path / "one", weights[0]), random=8)
    assert chance["value"] > 2 * single["reward-change-removed", "random direction"]["value"]


def test_where_the_network_is_changed_the_effect_is_that_of_the_folded_head(head, pairs, tmp_path):
    weights = np.random.default_rng(5).normal(size=WIDTH)
    own = effects(head, pairs, directions_of(tmp_path / "own", weights), rows=30)
    fit = directions_of(tmp_path / "net", weights, layer=2, pooling="last")
    hooked = effects(head, pairs, fit, rows=30)
    assert own["reward-change-removed", "x"]["n"] == 60
    assert own.keys() == hooked.keys()
    for key, row in own.items():
        assert hooked[key]["value"] == pytest.approx(row["value"], abs=1e-4)


def test_responses_and_inner_layers_of_a_classifier_are_measured(tiny, pairs, tmp_path):
    model = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    responses = ToResponses().sample(pairs)
    weights = np.random.default_rng(6).normal(size=WIDTH)
    inner = effects(model, responses, directions_of(tmp_path / "in", weights, layer=1), random=1)
    assert inner["reward-change-removed", "x"]["value"] > 0.01
    assert ("cosine", "x") not in inner and ("preference-changed", "x") not in inner
    head = model.loaded.model.score.weight.detach().numpy()[0]
    last = effects(model, responses, directions_of(tmp_path / "last", head, layer=-1), random=1)
    assert last["cosine", "x"]["value"] == pytest.approx(1)
    two = SequenceClassifier(path=tiny("llama", labels=2), only="LABEL_1", device="cpu").load()
    assert head_weights(two) == pytest.approx(two.loaded.model.score.weight.detach().numpy()[1:])
    rewards, groups = rewards_of(model, pairs)
    expected = np.abs(rewards[:, 0]).mean() / within(rewards[:, 0], groups)
    assert last["reward-change-removed", "x"]["value"] == pytest.approx(expected, rel=1e-4)


def test_the_only_response_to_a_prompt_is_left_out_and_named(head, pairs, tmp_path):
    responses = ToResponses().sample(pairs).take([0, 1, 2, 3, 4, 5, 6, 7, 8])
    with collect_notices() as noticed:
        found = effects(head, responses, directions_of(tmp_path, head.weight))
    [one] = noticed.values()
    assert (one.what, one.ids) == ("the only response to its prompt", ["p4/chosen"])
    assert found["reward-change-removed", "x"]["n"] == 8


def test_what_cannot_be_measured_is_refused_with_the_reason(head, pairs, tiny, tmp_path):
    fit = directions_of(tmp_path, head.weight)
    with pytest.raises(DataError, match="needs 2 groups .* within rows: 3; give more data"):
        effects(head, pairs, fit, rows=3)
    with pytest.raises(DataError, match="LengthModel has no states that can be changed"):
        effects(LengthModel(), pairs, fit)
    three = SequenceClassifier(path=tiny("llama", labels=3), device="cpu").load()
    with pytest.raises(DataError, match="set only: to one of them"):
        effects(three, pairs, fit)
    same = Pairs(pairs.table.set_column(4, "rejected", pairs["chosen"]).take([0, 2, 4]))
    with pytest.raises(DataError, match="all responses to a prompt the same reward"):
        effects(head, same, fit)
    known = {"model": [Known(outputs=(), step="enc")], "directions": [Known()]}
    assert list(DirectionEffects().mistakes(known)) == [
        ("model", "enc gives no scores; name a reward model")
    ]
