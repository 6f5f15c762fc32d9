"""The machine that a run is on, and what work uses of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rmplug._run import machine
from rmplug._run.machine import measured
from rmplug.records import Usage


def peak_memory_mb() -> float:
    usage = Usage()
    with measured(usage):
        pass
    return usage.peak_memory_mb


def test_peak_memory_is_that_of_this_process_and_does_not_fall() -> None:
    before = peak_memory_mb()
    block = bytearray(60_000_000)
    during = peak_memory_mb()
    del block
    assert during > before + 40 or during > 200
    assert peak_memory_mb() > during - 2


def test_what_failing_work_used_is_measured_too() -> None:
    usage = Usage()
    with pytest.raises(ValueError, match="no"), measured(usage):
        raise ValueError("no")
    assert usage.peak_memory_mb > 10


def test_the_peak_of_several_processes_is_that_of_the_largest() -> None:
    usage = Usage(peak_memory_mb=300.0)
    usage.include(Usage(peak_memory_mb=200.0))
    assert usage.peak_memory_mb == 300.0
    usage.include(Usage(peak_memory_mb=400.0))
    assert usage.peak_memory_mb == 400.0


def test_other_systems_tell_their_peak_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "STATUS", tmp_path / "none")
    assert peak_memory_mb() > 10
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert peak_memory_mb() == 0
