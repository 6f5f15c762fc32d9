"""The progress of a run: bars on a terminal, one line per step otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import PrivateAttr

from rmplug.errors import printable
from rmplug.families import Observer
from rmplug.records import RunRecord, StepRecord

MARKS = {"reused": "·", "done": "✓", "rebuilt": "↻", "failed": "✗", "interrupted": "✗"}


class Lines(Observer):
    """An observer that writes one line per step on standard error."""

    kind = "lines"

    def step_finished(self, step: StepRecord) -> None:
        """Print the line of a step that has ended: reused, done or failed."""
        print(line(step), file=sys.stderr, flush=True)

    def run_finished(self, run: RunRecord) -> None:
        """Print the line of the run, however it ended."""
        print(ending(run), file=sys.stderr, flush=True)


class Bars(Observer):
    """An observer that shows a bar with rate and remaining time for the current step, and lines for
    finished steps."""

    kind = "bars"
    _progress: Any = PrivateAttr(default=None)
    _task: Any = PrivateAttr(default=None)
    _numbers: dict[str, float] = PrivateAttr(default_factory=dict)

    def run_started(self, run: RunRecord) -> None:
        """Start the display, before the first step."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            Remaining(),
            TextColumn("{task.fields[numbers]}", style="dim"),
        )
        bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress = bars
        bars.start()

    def step_started(self, step: StepRecord) -> None:
        """Show a bar for a step that begins."""
        self._numbers = {}
        self._task = self._progress.add_task(step.id, total=None, rate="", numbers="")

    def step_progress(self, step: StepRecord, done: int, total: int | None) -> None:
        """Move the bar: ``done`` rows or items, of ``total`` where that is known."""
        speed = self._progress.tasks[-1].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        name = f"{step.id} (waiting)" if step.status == "waiting" else step.id
        self._progress.update(self._task, completed=done, total=total, rate=rate, description=name)

    def step_numbers(self, step: StepRecord, done: int, numbers: Mapping[str, float]) -> None:
        """Show the latest of each number beside the bar."""
        self._numbers.update(numbers)
        latest = "  ".join(f"{name} {value:.3g}" for name, value in self._numbers.items())
        self._progress.update(self._task, numbers=printable(latest))

    def step_finished(self, step: StepRecord) -> None:
        """Replace the bar of a step that has ended (reused, done or failed) by its line."""
        self._progress.remove_task(self._task)
        self._progress.console.print(line(step), highlight=False, markup=False)

    def run_finished(self, run: RunRecord) -> None:
        """Stop the display and print the line of the run, however it ended."""
        self._progress.stop()
        self._progress.console.print(ending(run), highlight=False, markup=False)


def progress_observer() -> Observer:
    """Return bars on a terminal, lines otherwise."""
    return Bars() if sys.stderr.isatty() else Lines()


def line(step: StepRecord) -> str:
    """Describe a step that has ended, in one line."""
    rows = "" if step.rows is None else f"{step.rows:,} rows"
    rate = f"{step.rows_per_second:,.0f}/s" if step.rows_per_second else ""
    odd = sum(notice["count"] for notice in step.notices)
    noticed = f"{odd:,} noticed" if odd else ""
    facts = [rows, f"{step.seconds:.1f} s" if step.status != "reused" else "", rate, noticed]
    head = f"{MARKS.get(step.status, '?')} {step.id:<16} {step.status:<8}"
    details = " · ".join(filter(None, [*facts, step.message if step.status != "failed" else ""]))
    return printable(f"{head} {details}").rstrip()


def ending(run: RunRecord) -> str:
    """Describe a run that has ended, in one line."""
    statuses = [step.status for step in run.steps.values()]
    reused = statuses.count("reused")
    return printable(
        f"{run.name}: {run.status} in {run.seconds:.1f} s, {len(statuses)} steps, {reused} reused"
    )
