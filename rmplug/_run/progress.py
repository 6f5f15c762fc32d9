"""The progress of a run: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from rmplug._store.store import Store
from rmplug._store.store_folder import new_store_note
from rmplug.errors import printable
from rmplug.families import Observer
from rmplug.records import RunRecord, StepRecord

PAUSE = 10.0
"""Seconds between two lines on how far a step is."""
MARKS = {"reused": "·", "done": "✓", "rebuilt": "↻", "failed": "✗", "interrupted": "✗"}


class Lines(Observer):
    """An observer that writes one line per step: on standard error, or below a notebook's cell."""

    kind = "lines"
    verbose: bool = False
    """Also tell when a step begins, how far a long one is, and its odd rows."""
    _told: float = PrivateAttr(default=0.0)

    def step_started(self, step: StepRecord) -> None:
        """Where asked for, print that a step begins."""
        self._told = time.monotonic()
        if self.verbose:
            tell(f"… {step.id:<16} {step.kind}")

    def step_progress(self, step: StepRecord, done: int, total: int | None) -> None:
        """Where asked for, print how far a long step is, at most every ``PAUSE`` seconds."""
        if self.verbose and time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            tell(f"  {step.id:<16} {done:,}" + (f" of {total:,}" if total else ""))

    def step_finished(self, step: StepRecord) -> None:
        """Print the line of a step that has ended: reused, done or failed."""
        tell(line(step))
        for notice in step.notices if self.verbose else ():
            tell(f"  {notice.get('count', 0):,} × {notice.get('what', '')}")

    def run_finished(self, run: RunRecord) -> None:
        """Print the line of the run, however it ended."""
        tell(ending(run))


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


def progress_observer(verbose: bool = False) -> Observer:
    """Return bars on a terminal, lines otherwise, and where more is to be told."""
    bars = sys.stderr.isatty() and not verbose and not in_notebook()
    return Bars() if bars else Lines(verbose=verbose)


def observers_for(quiet: bool, verbose: bool) -> list[Observer]:
    """Return what shows the progress of a run that Python starts: bars on a terminal, lines in a
    notebook, and elsewhere only where ``verbose`` asks for them."""
    shown = not quiet and (verbose or sys.stderr.isatty() or in_notebook())
    return [progress_observer(verbose)] if shown else []


def tell_new_store(witnesses: Iterable[Observer], store: Store, spec: Path | None) -> None:
    """Where progress is shown, say that a run of this spec file begins a new store."""
    if any(isinstance(witness, Bars | Lines) for witness in witnesses):
        tell(new_store_note(store, spec))


def tell(text: str) -> None:
    """Print a line of progress, if it is not empty: on standard error, or below a notebook's
    cell."""
    if text:
        print(printable(text), file=sys.stdout if in_notebook() else sys.stderr, flush=True)


def in_notebook() -> bool:
    """Check whether Python runs in the kernel of a notebook."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


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
    """Describe a run that has ended, in one line, after one for each step that was not run."""
    statuses = [step.status for step in run.steps.values()]
    reused = statuses.count("reused")
    counts = f"{len(statuses)} steps, {reused} reused"
    if run.not_run:
        counts += f", {statuses.count('failed')} failed, {len(run.not_run)} not run"
    lines = [f"- {name:<16} not run  {reason}" for name, reason in run.not_run.items()]
    lines.append(f"{run.name}: {run.status} in {run.seconds:.1f} s, {counts}")
    return printable("\n".join(lines))
