"""Training in several processes: real torchrun, gloo, two processes on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from polite import base_of, losses_of, number_of, polite_pairs, trained

from rmplug import DataError, Pairs, RmplugError, StepError
from rmplug.notices import collect_notices
from rmplug_trl.reward_models._reward_model import train
from rmplug_trl.reward_models.losses import BradleyTerry
from rmplug_trl.reward_models.reward_model import RewardModelTrainer
from rmplug_trl.training._launch import config_file
from rmplug_trl.training.settings import Launcher

TEST = polite_pairs(24, seed=9)


def test_two_processes_end_where_one_with_twice_the_batch_does(tmp_path: Path) -> None:
    two = trained(
        "qwen2",
        tmp_path / "two",
        validation=TEST,
        launcher=Launcher(processes=2),
        per_device_train_batch_size=4,
    )
    one = trained("qwen2", tmp_path / "one", validation=TEST, per_device_train_batch_size=8)
    for metric, far in (("accuracy", 0.02), ("log-loss", 0.02)):
        values = [number_of(made, metric)["value"] for made in (two, one)]
        assert values[0] == pytest.approx(values[1], abs=far)
        assert number_of(two, metric)["n"] == 24
    assert number_of(two, "steps")["value"] == number_of(one, "steps")["value"]
    assert len(losses_of(two)) > 4


def test_what_ends_a_process_is_told_and_so_are_rows_that_are_left_out(tmp_path: Path) -> None:
    table = polite_pairs(16).table
    texts = {name: table[name].to_pylist() for name in ("id", "prompt", "chosen", "rejected")}
    texts["rejected"][3] = texts["chosen"][3]
    step = RewardModelTrainer(
        launcher=Launcher(processes=2),
        loss=BradleyTerry(center_rewards_coefficient=0.01),
        per_device_train_batch_size=2,
        learning_rate=1e30,
        max_grad_norm=1e30,
        warmup_steps=0,
    )
    base, made = base_of("qwen2", tmp_path).load(), tmp_path / "made"
    made.mkdir()
    with collect_notices() as notices, pytest.raises(DataError) as raised:
        train(step, base, Pairs(texts), None, 1, made, tmp_path, lambda *_, **__: None)
    assert "a process of the launcher ended with" in str(raised.value)
    assert "not finite" in str(raised.value)
    [told] = notices.values()
    assert (told.what, told.ids) == ("chosen and rejected have the same tokens", ["0-3"])


def test_fewer_processes_than_asked_for_are_refused(tmp_path: Path) -> None:
    # what accelerate makes of a configuration for several processes on a CPU without MPI
    config = tmp_path / "cpu.yaml"
    config.write_text("distributed_type: MULTI_CPU\nuse_cpu: true\nnum_processes: 2\n")
    launcher = Launcher(kind="accelerate", config=str(config), processes=2)
    with pytest.raises(StepError, match="launcher.processes is 2, but 1 were started"):
        trained("qwen2", tmp_path, launcher=launcher)


def test_a_configuration_that_is_nowhere_names_those_that_there_are() -> None:
    assert config_file("zero2").name == "zero2.yaml"
    with pytest.raises(RmplugError, match="fsdp2"):
        config_file("fsdp9")


def test_a_launcher_ends_with_its_parent_where_there_are_no_groups_of_processes() -> None:
    program = (
        "import os, time; del os.killpg\n"
        "from rmplug_trl.training._process import end_with_parent\n"
        "end_with_parent(); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 1
