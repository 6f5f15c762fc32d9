"""Steps that go on from where they were interrupted, and tell how far they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import rmplug_text
from rmplug import (
    Checkpoint,
    Observer,
    Pairs,
    Progress,
    RewardModel,
    StepError,
    Trainer,
    hookimpl,
    run,
)
from rmplug.records import StepRecord
from rmplug.testing import registry_of, run_step, small_pairs
from rmplug.testing.small_data import LengthModel


class Counting(Trainer):
    """Count to ten, one file a number; stop at a number for the first time it is reached."""

    kind = "counting"

    stop: int = 4
    """The number to stop at."""

    def train(self, data: Pairs, *, work: Path, directory: Path, progress: Progress) -> Checkpoint:
        (directory / "begun").write_text(str(len(list(work.iterdir()))))
        for number in range(len(list(work.iterdir())), 10):
            if number == self.stop and not (directory.parent.parent.parent / "stopped").exists():
                (directory.parent.parent.parent / "stopped").touch()
                raise KeyboardInterrupt
            (work / str(number)).touch()
            progress(number + 1, 10, count=float(number))
        return Checkpoint(directory, type(self))

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return LengthModel()


def test_a_step_goes_on_from_what_it_left_in_its_work_folder(tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, StepError)):
        run_step(Counting(), {"data": small_pairs()}, tmp_path)
    made = run_step(Counting(), {"data": small_pairs()}, tmp_path)
    assert isinstance(made, Checkpoint)
    assert (made.directory / "begun").read_text() == "4"
    assert "work" not in [path.name for path in made.directory.parent.iterdir()]


def test_a_step_with_other_parameters_begins_with_an_empty_work_folder(tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, StepError)):
        run_step(Counting(), {"data": small_pairs()}, tmp_path)
    made = run_step(Counting(stop=5), {"data": small_pairs()}, tmp_path)
    assert isinstance(made, Checkpoint)
    assert (made.directory / "begun").read_text() == "0"


class Heard(Observer):
    """Write down progress and numbers."""

    kind = "heard"

    file: Path
    """The file to write to."""

    def step_progress(self, step: StepRecord, done: int, total: int | None) -> None:
        with self.file.open("a") as file:
            print(step.id, done, total, file=file)

    def step_numbers(self, step: StepRecord, done: int, numbers: Mapping[str, float]) -> None:
        with self.file.open("a") as file:
            print(step.id, done, dict(numbers), file=file)


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [Counting]


@hookimpl
def rmplug_observers() -> list[type[Observer]]:
    return [Heard]


def test_observers_get_the_numbers_of_a_step_at_work(tmp_path: Path) -> None:
    spec = {
        "name": "counted",
        "track": {"heard": {"file": str(tmp_path / "heard")}},
        "steps": {
            "pairs": {"kind": "synthetic", "params": {"size": 5}},
            "count": {"kind": "counting", "inputs": "pairs", "params": {"stop": 10}},
        },
    }
    registry = registry_of(rmplug_text, sys.modules[__name__])
    run(spec, store=tmp_path / "store", registry=registry)
    lines = (tmp_path / "heard").read_text().splitlines()
    told = [line for line in lines if line.startswith("count ")]
    assert len(told) == 20
    assert told[:3] == ["count 1 10", "count 1 {'count': 0.0}", "count 2 10"]
