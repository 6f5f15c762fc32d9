"""Devices by name."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from rmplug import DataError
from rmplug.models.devices import Device, device_of


def test_names_are_devices():
    assert device_of("cpu") == torch.device("cpu")
    there = "cuda" if torch.cuda.is_available() else "cpu"
    assert device_of("auto").type == there


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"there is no device cuda:99: \d+ GPUs were found; write"):
        device_of("cuda:99")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cpu:0", ""])
def test_other_words_are_no_names_of_devices(name):
    with pytest.raises(
        ValidationError, match="must be auto, cpu, mps, cuda, or cuda:1 and so on, not"
    ):
        TypeAdapter(Device).validate_python(name)
