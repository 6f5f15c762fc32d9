"""The events of a run, written into its record and passed to observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rmplug._kinds.registry import Provider
from rmplug._store.fingerprint import plugin_version
from rmplug._store.run_records import RecordWriter
from rmplug._store.store import Store
from rmplug.artifacts import Artifact
from rmplug.families import Observer, family_of
from rmplug.records import RunRecord, StepRecord


@dataclass(frozen=True)
class RunLog:
    """The record of a run and its observers; worker processes have neither."""

    store: Store
    record: RunRecord | None = None
    observers: tuple[Observer, ...] = ()

    def begin(self, step: str, provider: Provider) -> StepRecord:
        """Return the record of a step that begins now."""
        family, version = family_of(provider.cls).family, plugin_version(provider)
        record = StepRecord(step, provider.name, family, version, "running")
        if self.record is not None:
            self.record.steps[step] = record
        self.tell("step_started", record)
        return record

    def note_waiting(self, record: StepRecord) -> None:
        """Note that this run waits for another one, which is making the step's result."""
        record.status = "waiting"
        record.message = "waited for another run that was making the same result"
        self.write(now=True)
        self.tell("step_progress", record, 0, None)

    def note_problem(self, problem: str) -> None:
        """Add a problem outside the steps to the record, once."""
        if self.record is not None and problem not in self.record.problems:
            self.record.problems.append(problem)

    def note_not_run(self, reasons: Mapping[str, str]) -> None:
        """Add the steps that could not be run to the record, with the reasons."""
        if self.record is not None:
            self.record.not_run.update(reasons)

    def tell(self, event: str, *arguments: Any) -> None:
        """Pass an event to the observers; one that fails is noted and cannot harm the run."""
        for observer in self.observers:
            self._attempt(observer, event, lambda: arguments)

    def show_result(self, record: StepRecord, load: Callable[[], Artifact]) -> None:
        """Pass a result of a step to the observers that look at results; only they load it."""
        for observer in self.observers:
            if type(observer).step_result is not Observer.step_result:
                self._attempt(observer, "step_result", lambda: (record, load()))

    def _attempt(
        self, observer: Observer, event: str, arguments: Callable[[], Sequence[Any]]
    ) -> None:
        try:
            getattr(observer, event)(*arguments())
        except Exception as error:
            self.note_problem(f"{observer.kind}: {event}: {type(error).__name__}: {error}")

    @cached_property
    def _writer(self) -> RecordWriter | None:
        return RecordWriter(self.store, self.record) if self.record is not None else None

    def write(self, now: bool = False) -> None:
        """Write the record: ``now``, before work begins, or soon."""
        if self._writer is not None:
            self._writer.write(now)
