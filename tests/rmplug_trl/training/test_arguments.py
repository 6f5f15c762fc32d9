"""Settings as arguments of the installed TRL, and what TRL may not do by itself."""

from __future__ import annotations

from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
import trl.trainer.base_trainer
from polite import trained

from rmplug import RmplugError
from rmplug_trl.reward_models.reward_model import RewardModelTrainer
from rmplug_trl.training._arguments import arguments_of, precision_of

CPU = torch.device("cpu")


def test_settings_arrive_under_the_names_of_the_installed_version(tmp_path: Path) -> None:
    step = RewardModelTrainer(
        learning_rate=0.001, warmup_steps=0.2, gradient_checkpointing=True, save_steps=7
    )
    made = arguments_of(trl.RewardConfig, step, 3, tmp_path, CPU)
    assert (made.learning_rate, made.save_steps, made.seed, made.data_seed) == (0.001, 7, 3, 3)
    assert made.get_warmup_steps(50) == 10
    assert made.activation_checkpointing
    assert made.report_to == [] and not made.bf16 and not made.logging_nan_inf_filter


def test_an_argument_that_a_version_lacks_is_named_and_not_left_out(tmp_path: Path) -> None:
    lacking = make_dataclass("OlderConfig", [("output_dir", str), ("learning_rate", float)])
    with pytest.raises(RmplugError, match=r"no argument \w+ in OlderConfig.*rmplug\[trl\]"):
        arguments_of(lacking, RewardModelTrainer(), 0, tmp_path, CPU)


def test_numbers_are_whole_on_a_cpu_unless_the_spec_says_otherwise() -> None:
    assert precision_of(RewardModelTrainer(), CPU) == "no"
    assert precision_of(RewardModelTrainer(mixed_precision="bf16"), CPU) == "bf16"


def test_a_training_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(
        trl.trainer.base_trainer, "send_telemetry", lambda **told: sent.append(told)
    )
    trained("qwen2", tmp_path, max_steps=1)
    assert sent == []
