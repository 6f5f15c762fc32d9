"""Policies trained on pairs, and the reward that they imply."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from small_policies import Loaded, small_policy, values

from rmplug import DataError, Pairs
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_hf import CausalLM
from rmplug_trl.policies.implicit import ImplicitReward
from rmplug_trl.policies.preference import Dpo

PAIRS = 8
CONSTANT = {
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "logging_steps": 1,
    "per_device_train_batch_size": PAIRS,
    "learning_rate": 1e-3,
}


def trained(folder, store, data=None, validation=None, **params):
    inputs = {"policy": Loaded(folder), "data": data or small_pairs(PAIRS)}
    inputs |= {} if validation is None else {"validation": validation}
    return run_step(Dpo(**{**CONSTANT, **params}), inputs, store, seed=5)


def margins_of(model, pairs):
    batch = one_batch(pairs.table)
    return model.score(side_of(batch, "chosen")) - model.score(side_of(batch, "rejected"))


def polite_pairs(count, start=0):
    numbers = range(start, start + count)
    return Pairs(
        {
            "id": [f"p{n}" for n in numbers],
            "prompt": [f"Question number {n}?" for n in numbers],
            "chosen": [f"Certainly, here is {n}." for n in numbers],
            "rejected": [f"Go away with your {n}." for n in numbers],
        }
    )


@pytest.mark.parametrize("lora", [None, {"r": 4}])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_the_margins_that_trl_logs_are_those_of_the_implicit_reward(architecture, lora, tmp_path):
    folder = small_policy(tmp_path / "policy", architecture).directory
    params = {"beta": 0.3, "lora": lora}
    three = trained(folder, tmp_path / "three", max_steps=3, **params)
    four = trained(folder, tmp_path / "four", max_steps=4, **params)
    logged = values(four, "margin")
    assert logged[0] == pytest.approx(0, abs=1e-4) and abs(logged[-1]) > 1e-3
    implied = ImplicitReward(beta=0.3).load(three.open(), Loaded(folder))
    asked = CausalLM(path=three.directory, reference=folder, beta=0.3).load()
    pairs = small_pairs(PAIRS)
    for model in (implied, asked):
        assert margins_of(model, pairs).mean() == pytest.approx(logged[-1], abs=1e-4)


def test_held_out_pairs_are_measured_by_the_implicit_reward(tmp_path):
    folder = small_policy(tmp_path / "policy", data=polite_pairs(20), vocab_size=400).directory
    held_out = polite_pairs(12, start=100)
    checkpoint = trained(
        folder, tmp_path, polite_pairs(32), held_out, num_train_epochs=6, learning_rate=5e-3
    )
    accuracy = next(row for row in checkpoint.numbers if row["metric"] == "accuracy")
    assert accuracy["n"] == 12 and accuracy["value"] == 1.0
    loss = [
        row["value"]
        for row in checkpoint.numbers
        if row["metric"] == "log-loss" and row["subset"] == "validation"
    ]
    assert len(loss) == 6 and loss[-1] < loss[0] < np.log(2) + 0.01
    implied = ImplicitReward().load(checkpoint.open(), Loaded(folder))
    assert np.logaddexp(0, -margins_of(implied, held_out)).mean() == pytest.approx(
        loss[-1], abs=1e-5
    )


@pytest.mark.parametrize("loss", ["ipo", "hinge", "robust", ["sigmoid", "sft"]])
def test_losses_are_those_of_trl_by_name(loss, tmp_path):
    folder = small_policy(tmp_path / "policy").directory
    more = {"label_smoothing": 0.1} if loss == "robust" else {}
    first = values(trained(folder, tmp_path, max_steps=1, loss_type=loss, **more), "loss")[0]
    # before the first step policy and reference are the same, and every ratio is 1
    expected = {"ipo": 25.0, "hinge": 1.0, "robust": np.log(2)}.get(str(loss))
    assert first == pytest.approx(expected, abs=1e-4) if expected else first > np.log(2) + 1


def test_pairs_longer_than_the_policy_takes_are_cut_left_out_or_refused(tmp_path):
    folder = small_policy(tmp_path / "policy", max_position_embeddings=128).directory
    data = small_pairs(PAIRS).table.to_pylist()
    data[1]["prompt"] = [{"role": "user", "content": "long " * 60}]
    pairs = Pairs({name: [row[name] for row in data] for name in data[0]})
    kept = {
        policy: values(trained(folder, tmp_path, pairs, max_steps=1, too_long=policy), "pairs")
        for policy in ("truncate", "drop")
    }
    assert kept == {"truncate": [8.0], "drop": [7.0]}
    with pytest.raises(DataError, match="1 of 8 rows are longer than the model's max_length"):
        from rmplug_trl.policies._preference import comparisons_of

        comparisons_of(Loaded(folder).open(), pairs, "error")


def test_the_trainer_keeps_every_promise_of_a_step(tmp_path):
    folder = small_policy(tmp_path / "policy").directory
    given = {"policy": Loaded(folder), "data": small_pairs(6)}
    check_step(Dpo, {"max_steps": 2}, given, tolerance=1e-4)


def test_the_reference_must_read_the_same_tokens(tmp_path):
    folder = small_policy(tmp_path / "policy").directory
    policy = CausalLM(path=folder).load()
    other = CausalLM(path=folder, template="{prompt}\n{response}").load()
    implied = ImplicitReward().load(policy, other)
    with pytest.raises(DataError, match="policy and reference read .* as different tokens"):
        margins_of(implied, small_pairs())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label_smoothing": 0.1}, "label_smoothing has no effect on sigmoid"),
        ({"loss_type": "exo_pair"}, "exo_pair needs label_smoothing above 0"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "one weight for each loss"),
    ],
)
def test_options_without_effect_are_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        Dpo(**params)
