"""Logging of runs to Weights & Biases: specs, durations and results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from rmplug import Artifact, Known, Observer, hookimpl

if TYPE_CHECKING:
    from rmplug.records import RunRecord, StepRecord


REFUSED = "/\\#?%:"
"""Signs that Weights & Biases does not take in the name of a project."""


class Wandb(Observer):
    """Log a run to Weights & Biases; nothing is sent unless `mode` is `online`.

    Logs the spec, the seed and the versions (as the run's config); seconds, rows and rows per
    second of every step (`steps/<step>/seconds`); every row of every table of metrics and every
    number of a fit or checkpoint, as a scalar `<step>/<model>/<subset>/<metric>` (parts that a row
    does not have, and the subset `all`, are left out) and as a table `<step>`; and every report's
    page. Results that an earlier run left in the store are logged as well.

    In names, characters that nobody sees stand as `⟨U+202E⟩`, a part of more than 120 characters
    is shortened with a digest, and a second number of one name is `name (2)`; those of a step that
    is called `steps`, `status`, `seconds` or `problems` begin with `step`. A text in a cell is cut
    at 1,000 characters, a table of a fit at 10,000 rows (`<table>/rows-left-out` counts others).

    Offline runs are written into the store, in its folder `wandb`, and no `gc` removes them;
    `wandb sync .rmplug/wandb/offline-run-*` sends them later. Whatever fails here is noted in the
    run's record and does not stop the run.
    """

    kind = "wandb"
    requires = ("wandb",)
    extra = "wandb"
    neutral = frozenset({"directory"})

    project: str = Field(default="rmplug", min_length=1, max_length=128)
    """The project to log to; without control characters, backslashes and ``/ # ? % :``."""
    entity: str | None = None
    """The user or team that the project belongs to; by default the account's own."""
    name: str | None = None
    """The name of the run; by default the spec's name."""
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = ()
    """Words to find the run by, of 1 to 64 characters."""
    mode: Literal["offline", "online", "disabled"] = "offline"
    """`offline` writes files and opens no connection, `online` sends them as the run goes (after
    `wandb login`), `disabled` does nothing."""
    directory: Path | None = None
    """The folder in which `wandb/` is made; by default the store."""
    tables: bool = True
    """Log metrics, coefficients, importances and steps as tables, too."""
    report: bool = True
    """Log reports."""
    _tracker: Any = PrivateAttr(default=None)
    _store: Path = PrivateAttr(default=Path())

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for sign in self.project:
            if sign in REFUSED or not sign.isprintable():
                yield "project", f"{sign!a} cannot be in the name of a project; leave it out"
                break
        if self.directory is None or self.mode == "disabled":
            return
        folder = self.directory.absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            yield "directory", f"{folder} cannot be made: {there} is no folder"
        elif not os.access(there, os.W_OK | os.X_OK):
            yield "directory", f"{folder} cannot be made: {there} cannot be written to"

    def prepare(self, store: Path) -> None:
        """Keep where the store is."""
        self._store = store

    def run_started(self, run: RunRecord) -> None:
        """Open a run of Weights & Biases."""
        if self.mode == "disabled":
            return
        from ._tracking import Destination, start

        name, folder = self.name or run.name, self.directory or self._store
        destination = Destination(self.project, self.entity, name, self.tags, self.mode, folder)
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
