"""Logging of runs to Weights & Biases: specs, durations and results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr

from rmplug import Artifact, Known, Observer, hookimpl

if TYPE_CHECKING:
    from rmplug.records import RunRecord, StepRecord


class Wandb(Observer):
    """Log a run to Weights & Biases; nothing is sent unless `mode` is `online`.

    Logs the spec, the seed and the versions (as the run's config); seconds, rows and rows per
    second of every step (`steps/<step>/seconds`); every row of every table of metrics and every
    number of a fit or checkpoint, as a scalar `<step>/<model>/<subset>/<metric>` (parts that a row
    does not have, and the subset `all`, are left out) and as a table `<step>`; and every report's
    page. Results that an earlier run left in the store are logged as well.

    Offline runs are written below `directory`; `wandb sync DIRECTORY/wandb/offline-run-*` sends one
    later. Whatever fails here is noted in the run's record and does not stop the run.
    """

    kind = "wandb"
    requires = ("wandb",)
    extra = "wandb"
    neutral = frozenset({"directory"})

    project: str = Field(default="rmplug", min_length=1)
    """The project to log to."""
    entity: str | None = None
    """The user or team that the project belongs to; by default the account's own."""
    name: str | None = None
    """The name of the run; by default the spec's name."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    mode: Literal["offline", "online", "disabled"] = "offline"
    """`offline` writes files and opens no connection, `online` sends them as the run goes (after
    `wandb login`), `disabled` does nothing."""
    directory: Path = Path()
    """The folder in which `wandb/` is made; by default the current one."""
    tables: bool = True
    """Log metrics, coefficients, importances and steps as tables, too."""
    report: bool = True
    """Log reports."""
    _tracker: Any = PrivateAttr(default=None)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        folder = self.directory.absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if self.mode != "disabled" and not there.is_dir():
            yield "directory", f"{folder} cannot be made: {there} is no folder"
        elif self.mode != "disabled" and not os.access(there, os.W_OK | os.X_OK):
            yield "directory", f"{folder} cannot be made: {there} cannot be written to"

    def run_started(self, run: RunRecord) -> None:
        """Open a run of Weights & Biases."""
        if self.mode == "disabled":
            return
        from ._tracking import Destination, start

        destination = Destination(
            self.project, self.entity, self.name or run.name, self.tags, self.mode, self.directory
        )
        self._tracker = start(destination, run, tables=self.tables, report=self.report)

    def step_numbers(self, step: StepRecord, done: int, numbers: Mapping[str, float]) -> None:
        """Log what a step measures while it works, such as the loss of a training."""
        if self._tracker is not None:
            self._tracker.progress(step.id, done, numbers)

    def step_finished(self, step: StepRecord) -> None:
        """Log the state and duration of a step."""
        if self._tracker is not None:
            self._tracker.step(step)

    def step_result(self, step: StepRecord, result: Artifact) -> None:
        """Log the numbers of a result, or its page."""
        if self._tracker is not None:
            self._tracker.result(result)

    def run_finished(self, run: RunRecord) -> None:
        """Log the outcome of the run, and close it."""
        if self._tracker is not None:
            self._tracker.finish(run)


@hookimpl
def rmplug_observers() -> list[type[Observer]]:
    return [Wandb]
