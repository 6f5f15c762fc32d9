"""Training in several processes: real torchrun, gloo, two processes on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from polite import losses_of, number_of, polite_pairs, trained

from rmplug import RmplugError, StepError
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


def test_what_ends_a_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="a process of the launcher ended with.*not finite"):
        trained(
            "qwen2",
            tmp_path,
            launcher=Launcher(processes=2),
            learning_rate=1e30,
            max_grad_norm=1e30,
            warmup_steps=0,
        )


def test_a_configuration_that_is_nowhere_names_those_that_there_are() -> None:
    assert config_file("zero2").name == "zero2.yaml"
    with pytest.raises(RmplugError, match="fsdp2"):
        config_file("fsdp9")
