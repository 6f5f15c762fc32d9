"""Trainings of policies that are killed: the next run ends with the same weights."""

from __future__ import annotations

import signal

import pytest
from fresh_processes import start_fresh
from small_policies import run_until_killed, spec_of, values

import rmplug

FEW = {"max_steps": 14, "save_steps": 5, "logging_steps": 1, "learning_rate": 1e-2, "beta": 0.05}
SAMPLED = {"num_generations": 4, "max_completion_length": 8}
SPECS = {
    "dpo": spec_of("dpo", {"data": "pairs"}, **FEW),
    "rloo": spec_of("rloo", {"reward": ["head"], "prompts": "pairs"}, **FEW, **SAMPLED),
    "online-dpo": spec_of(
        "online-dpo",
        {"reward": ["head"], "prompts": "pairs"},
        **FEW,
        max_completion_length=8,
        per_device_train_batch_size=4,
    ),
}


@pytest.mark.parametrize("kind", SPECS)
def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(kind, tmp_path):
    spec = SPECS[kind]
    process = start_fresh(run_until_killed, spec, tmp_path / "killed", 12)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = sorted(path.name for path in (tmp_path / "killed").rglob("checkpoint-*"))
    assert left == ["checkpoint-10", "checkpoint-5"]
    resumed, unbroken = (rmplug.run(spec, store=tmp_path / name) for name in ("killed", "whole"))
    weights = [run.path("trained") / "files/model.safetensors" for run in (resumed, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    curves = [values(run["trained"], "loss") for run in (resumed, unbroken)]
    assert len(curves[0]) == 14 and curves[0] == curves[1]
