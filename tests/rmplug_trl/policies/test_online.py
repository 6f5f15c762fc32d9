"""Policies trained on pairs of their own responses, by rewards whose target is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trl
from small_policies import Capitals, Loaded, small_policy, values

from rmplug import Known
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_trl.policies._online import OnlineTraining
from rmplug_trl.policies.online import OnlineDpo
from rmplug_trl.training._quiet import libraries_quiet

FEW = {
    "max_steps": 3,
    "logging_steps": 1,
    "per_device_train_batch_size": 4,
    "max_completion_length": 8,
}
LEARN = {
    **FEW,
    "max_steps": 40,
    "learning_rate": 2e-2,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "per_device_train_batch_size": 6,
}


def trained(folder, policy=None, **params):
    policy = policy or small_policy(folder / "policy").open()
    inputs = {"policy": policy, "reward": [Capitals()], "prompts": small_pairs()}
    return run_step(OnlineDpo(**{**FEW, **params}), inputs, folder / "store", seed=5)


def loop_of(folder, policy, **params):
    """Return the loop of a training, as yet not run."""
    step = OnlineDpo(**{**FEW, **params})
    given = (step, policy, [Capitals()], small_pairs(), 0, folder, lambda *_, **__: None)
    return OnlineTraining(*given).loop


def test_a_policy_learns_to_write_what_the_reward_model_rewards(tmp_path):
    checkpoint = trained(tmp_path, **LEARN)
    rewards = values(checkpoint, "mean_reward")
    assert len(rewards) == 40
    assert np.mean(rewards[-5:]) > 2 * np.mean(rewards[:5])
    assert min(values(checkpoint, "reward_difference")) >= 0
    for curve in ("loss", "kl", "margin", "mean_length", "clipped_share"):
        assert len(values(checkpoint, curve)) == 40


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_the_divergence_is_measured_from_the_policy_before_the_training(lora, tmp_path):
    checkpoint = trained(tmp_path, lora=lora, learning_rate=1e-2)
    divergence = values(checkpoint, "kl")
    assert divergence[0] == pytest.approx(0, abs=1e-6)
    assert abs(divergence[-1]) > 1e-5
    assert values(checkpoint, "loss")[0] == pytest.approx(np.log(2), abs=1e-3)


def test_an_adapter_goes_on_from_where_it_was(tmp_path):
    first = trained(tmp_path / "first", lora={"r": 4}, learning_rate=1e-2)
    second = trained(tmp_path / "second", first.open(), lora={}, learning_rate=1e-2)
    divergence = values(second, "kl")
    assert divergence[0] == pytest.approx(0, abs=1e-6) and abs(divergence[-1]) > 1e-5
    batch = side_of(one_batch(small_pairs().table), "chosen")
    before, after = (each.open().log_prob_sums(batch) for each in (first, second))
    assert np.abs(after - before).max() > 1e-3


def test_the_policy_that_is_saved_is_the_trained_one(tmp_path):
    policy = small_policy(tmp_path / "policy").open()
    checkpoint = trained(tmp_path, policy, learning_rate=1e-2)
    batch = side_of(one_batch(small_pairs().table), "chosen")
    assert np.array_equal(checkpoint.open().log_prob_sums(batch), policy.log_prob_sums(batch))


def test_a_response_has_the_log_probability_that_the_policy_gives_it_alone(tmp_path):
    policy = small_policy(tmp_path / "policy").open()
    loop = loop_of(tmp_path, policy)
    talks = [[{"role": "user", "content": text}] for text in ("Why?", "Why is the sky so blue?")]
    with libraries_quiet():
        given = loop._generate(loop.model, talks)[:4]
    logs = loop._forward(loop.model, *given).detach()
    for row, (prompt, mask, written, counted) in enumerate(zip(*given, strict=True)):
        ids = torch.cat((prompt[mask == 1], written[counted == 1]))
        alone = policy.network(ids[None]).logits[0].log_softmax(-1)
        count = int(counted.sum())
        expected = alone[-count - 1 : -1].gather(1, ids[-count:, None])[:, 0].detach()
        assert torch.allclose(logs[row, :count], expected, atol=1e-5)
        assert not logs[row, count:].any()


def test_gradients_of_the_passes_of_a_step_are_averaged(tmp_path):
    policy = small_policy(tmp_path / "policy").open()
    loop = loop_of(tmp_path, policy, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    weight = next(loop.model.parameters())
    loop.accelerator.backward(weight.sum())
    assert torch.equal(weight.grad, torch.full_like(weight, 0.25))


def test_a_trl_without_the_trainer_is_told_by_check(tmp_path, monkeypatch):
    inputs = {"policy": [Known()], "reward": [Known()], "prompts": [Known()]}
    assert not list(OnlineDpo().mistakes(inputs))
    monkeypatch.setattr(trl.__spec__, "submodule_search_locations", [str(tmp_path)])
    [(field, said)] = OnlineDpo().mistakes(inputs)
    assert field == "policy" and "TRL has no trainer for online DPO; install trl 1.16" in said


def test_the_trainer_keeps_every_promise_of_a_step(tmp_path):
    folder = small_policy(tmp_path / "policy").directory
    given = {"policy": Loaded(folder), "reward": [Capitals()]}
    check_step(OnlineDpo, FEW, given, tolerance=1e-4)
