"""Work for the nodes of a cluster: module-level functions and classes that they can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug import FeatureComputer, Features, Pairs, StepError
from rmplug.errors import add_place


def square(number: int) -> int:
    return number**2


@dataclass(frozen=True)
class Touch:
    """Leaves a file for each task."""

    folder: Path

    def __call__(self, task: int) -> int:
        (self.folder / str(task)).touch()
        return task


@dataclass(frozen=True)
class Fail:
    """Fails at one task, as a step or as a bug would."""

    kind: str

    def __call__(self, task: int) -> int:
        if task == 3:
            error = {"step": StepError, "bug": KeyError, "local": local_error()}[self.kind]("three")
            add_place(error, "task 3")
            raise error
        return task


def local_error() -> type[Exception]:
    class Local(Exception):
        """An error of a class that no other process can find."""

    return Local


def die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@dataclass(frozen=True)
class Meet:
    """Gives the node of each task; the first ones end only when several nodes are at work."""

    folder: Path
    nodes: int

    def __call__(self, task: int) -> str:
        import ray

        node = str(ray.get_runtime_context().get_node_id())
        (self.folder / node).touch()
        while len(list(self.folder.iterdir())) < self.nodes:
            time.sleep(0.01)
        return node


class DiesOnce(FeatureComputer):
    """Characters of the chosen response; the process that comes to one row first is killed."""

    kind = "dies-once"

    mark: Path
    """A file that is there once it has happened."""

    def compute(self, data: Pairs) -> Features:
        return data.map(self._measure)

    def _measure(self, batch: Any) -> dict[str, Any]:
        import pyarrow.compute as pc

        if "p0000030" in batch.column("id").to_pylist() and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"n": pc.list_value_length(batch.column("chosen"))}
