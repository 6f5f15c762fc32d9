"""Policies trained on rewards whose target is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fresh_processes import run_fresh
from pydantic import ValidationError
from small_policies import Capitals, Loaded, Shortness, small_policy, spec_of, values

import rmplug
from rmplug import PluginError, StepError
from rmplug._kinds.registry import discover
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step, small_pairs
from rmplug.testing.small_data import LengthModel
from rmplug_trl.policies._reinforcement import ReinforcementTraining
from rmplug_trl.policies.reinforcement import Grpo, Rloo

FEW = {"max_steps": 3, "logging_steps": 1, "num_generations": 4, "max_completion_length": 8}
LEARN = {
    **FEW,
    "max_steps": 30,
    "learning_rate": 2e-2,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "per_device_train_batch_size": 16,
    "num_generations": 8,
}


def trained(kind, folder, reward=None, policy=None, data=None, **params):
    policy = policy or small_policy(folder / "policy").open()
    inputs = {"policy": policy, "reward": reward or [Capitals()], "prompts": data or small_pairs()}
    return run_step(kind(**{**FEW, **params}), inputs, folder / "store", seed=5)


@pytest.mark.parametrize("kind", [Grpo, Rloo])
def test_a_policy_learns_to_write_what_the_reward_model_rewards(kind, tmp_path):
    checkpoint = trained(kind, tmp_path, **LEARN)
    rewards = values(checkpoint, "mean_reward")
    assert len(rewards) == 30
    assert np.mean(rewards[-5:]) > 2 * np.mean(rewards[:5])
    for curve in ("loss", "entropy", "mean_length", "clipped_share"):
        assert len(values(checkpoint, curve)) == 30


@pytest.mark.parametrize("kind", [Grpo, Rloo])
@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_the_divergence_is_measured_from_the_policy_before_the_training(kind, lora, tmp_path):
    checkpoint = trained(kind, tmp_path, lora=lora, beta=0.1, learning_rate=1e-2)
    divergence = values(checkpoint, "kl")
    assert divergence[0] == pytest.approx(0, abs=1e-7)
    assert abs(divergence[-1]) > 1e-6


def test_an_adapter_goes_on_from_where_it_was(tmp_path):
    first = trained(Rloo, tmp_path / "first", lora={"r": 4}, learning_rate=1e-2)
    second = trained(
        Rloo, tmp_path / "second", policy=first.open(), lora={}, beta=0.1, learning_rate=1e-2
    )
    divergence = values(second, "kl")
    assert divergence[0] == pytest.approx(0, abs=1e-7) and abs(divergence[-1]) > 1e-6
    assert not [path for path in second.directory.iterdir() if path.is_dir()]
    batch = side_of(one_batch(small_pairs().table), "chosen")
    before, after = (each.open().log_prob_sums(batch) for each in (first, second))
    assert np.abs(after - before).max() > 1e-3


def test_the_policy_that_is_saved_is_the_trained_one(tmp_path):
    policy = small_policy(tmp_path / "policy").open()
    checkpoint = trained(Grpo, tmp_path, policy=policy, learning_rate=1e-2)
    batch = side_of(one_batch(small_pairs().table), "chosen")
    assert np.array_equal(checkpoint.open().log_prob_sums(batch), policy.log_prob_sums(batch))
    fresh = run_fresh(sums_of, checkpoint.directory)
    assert np.allclose(fresh, policy.log_prob_sums(batch), rtol=0, atol=1e-4)


def sums_of(folder):
    """The log-probabilities of the small pairs by the policy in a folder."""
    return Grpo.open(folder).log_prob_sums(side_of(one_batch(small_pairs().table), "chosen"))


def test_other_steps_see_the_policy_as_it_was_before_the_training(tmp_path):
    spec = spec_of("grpo", {"reward": "head", "prompts": "pairs"}, **{**FEW, "learning_rate": 1e-2})
    likelihood = {"kind": "log-prob", "inputs": {"model": "policy", "data": "pairs"}}
    before = rmplug.run(
        {**spec, "steps": {**spec["steps"], "likelihood": likelihood}},
        store=tmp_path / "one",
        only=["likelihood"],
    )["likelihood"].table
    spec["steps"]["likelihood"] = likelihood
    assert rmplug.run(spec, store=tmp_path / "two")["likelihood"].table.equals(before)


def test_rewards_of_several_models_are_weighed(tmp_path):
    policy = small_policy(tmp_path / "policy")
    both = [Capitals(), Shortness()]
    curves = {
        weights: values(
            trained(
                Rloo,
                tmp_path / str(weights),
                both,
                policy.open(),
                max_steps=1,
                reward_weights=weights,
            ),
            "mean_reward",
        )[0]
        for weights in (None, (1.0, 0.0), (0.0, 1.0))
    }
    assert curves[None] == pytest.approx(curves[1.0, 0.0] + curves[0.0, 1.0], abs=1e-6)
    assert curves[0.0, 1.0] < 0 <= curves[1.0, 0.0]


def test_distinct_prompts_are_used_and_those_without_room_are_named(tmp_path):
    texts = ["Why?", "Why?", "long " * 200, "How?"]
    ids, answers = [f"p{n}" for n in range(4)], ["Yes."] * 4
    data = rmplug.Responses({"id": ids, "prompt": texts, "response": answers})
    policy = small_policy(tmp_path / "policy").open()
    given = (Grpo(**FEW), policy, [Capitals()], data, 0, tmp_path, lambda *_, **__: None)
    with collect_notices() as noticed:
        prompts = ReinforcementTraining(*given).prompts
    assert prompts == [[{"role": "user", "content": text}] for text in ("Why?", "How?")]
    left = next(notice for notice in noticed.values() if "leaves no room" in notice.what)
    assert (left.ids, left.action) == (["p2"], "dropped")


def test_too_few_prompts_for_a_step_are_told_before_anything_is_trained(tmp_path):
    with pytest.raises(StepError, match="there are 3 distinct prompts .* but a step needs 4"):
        trained(Grpo, tmp_path, data=small_pairs(3), per_device_train_batch_size=16)


def test_a_model_that_is_no_policy_is_refused(tmp_path):
    with pytest.raises(StepError, match="LengthModel is no policy that can be trained"):
        trained(Grpo, tmp_path, policy=LengthModel())


@pytest.mark.parametrize("kind", [Grpo, Rloo])
def test_the_trainers_keep_every_promise_of_a_step(kind, tmp_path):
    folder = small_policy(tmp_path / "policy").directory
    given = {"policy": Loaded(folder), "reward": [Capitals()]}
    check_step(kind, FEW, given, tolerance=1e-4)


def test_parameters_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="8 responses .* no multiple of num_generations"):
        Grpo(num_generations=3)


def test_bfloat16_weights_are_not_trained_as_a_whole(tmp_path):
    policy = small_policy(tmp_path / "policy").open()
    policy.network.to(torch.bfloat16)
    with pytest.raises(StepError, match="bfloat16, in which small steps vanish"):
        trained(Grpo, tmp_path, policy=policy)


def test_ppo_is_told_to_be_rloo_or_grpo():
    with pytest.raises(PluginError, match="unknown kind 'ppo': TRL removed .* rloo or kind: grpo"):
        discover().find("ppo")
