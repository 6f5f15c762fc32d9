"""Runs in Python: one that has ended, with its results, and those that a store knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from rmplug._kinds.registry import Registry, discover
from rmplug._store.record_files import RECORD
from rmplug._store.reports import report_pages, told
from rmplug._store.run_numbers import numbers_of
from rmplug._store.run_records import UnreadableRecord, each_summary, find_record
from rmplug._store.store import NewerFormatError
from rmplug._store.store_folder import open_store
from rmplug.artifacts import Artifact
from rmplug.errors import RmplugError, some
from rmplug.families import ModelLoader
from rmplug.known import Ref, UnknownName
from rmplug.records import RunRecord, RunSummary, StepRecord
from rmplug.stats.numbers import Numbers

from .local_engine import Local
from .results import Results
from .scope import Handle, Scope
from .step_references import key_of_step


class Run(Mapping[str, Artifact]):
    """A run that has ended: the result of each step by its id (``loop.step[item]`` inside a loop),
    its numbers, and its record."""

    def __init__(self, results: Results, scope: Scope, record: RunRecord) -> None:
        self._results = results
        self._scope = scope
        self.record = record

    def __getitem__(self, name: str) -> Artifact:
        if name.endswith("]"):
            return self._in_loop(name)
        ref = Ref.parse(name)
        try:
            handle = self._scope.at(ref)
        except UnknownName as error:
            raise KeyError(self._why_none(ref.step) or str(error)) from None
        return self._results.load(handle, ref)

    def _in_loop(self, name: str) -> Artifact:
        """Load what a step gave for one item of a loop: ``loop.step[item]``."""
        try:
            handle = self._results.handle_of(key_of_step(self.record, name))
        except RmplugError as error:
            raise KeyError(str(error)) from None
        return self._results.load(handle, Ref(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._scope.handles)

    def __len__(self) -> int:
        return len(self._scope.handles)

    def path(self, name: str) -> Path:
        """Return the folder of a step's result in the store."""
        inside = name.endswith("]")
        key = key_of_step(self.record, name) if inside else self._scope.at(Ref.parse(name)).key
        store = self._results.store
        return store.find(key) or store.artifacts / key

    @property
    def numbers(self) -> Numbers:
        """Every number that the steps measured, by ``step / model / metric / subset`` or any parts
        of that which only one number has."""
        return Numbers(numbers_of(self._results.store, self.record))

    @property
    def headline(self) -> str:
        """The headline of the run's report; empty without one."""
        return told(self._results.store, self.record).headline

    @property
    def findings(self) -> list[str]:
        """The findings of the run's report, in sentences."""
        return [text for _, text in told(self._results.store, self.record).findings]

    @property
    def record_path(self) -> Path:
        """The path of the run's record."""
        return self._results.store.runs / self.record.id / RECORD

    @property
    def reports(self) -> list[Path]:
        """The pages of the reports, ready to open."""
        return report_pages(self._results.store, self.record)

    def _why_none(self, name: str) -> str:
        """Explain why a step of the run has no result; empty where there is no such step."""
        step = self.record.steps.get(name)
        if step is None or name in self._scope.handles:
            return ""
        if step.status in ("failed", "interrupted"):
            return f"the step {name!r} has no result: {step.status} {step.message}".rstrip()
        if step.family == ModelLoader.family:
            return f"{name!r} loads a model where it is used, and keeps none; use rmplug.load"
        return f"the result of {name!r} is gone from the store; run the spec again"

    def __repr__(self) -> str:
        steps = ", ".join(f"{s.id}: {s.status}" for s in self.record.steps.values())
        headline = self.headline
        return (
            f"<Run {self.record.id} {self.record.status}: {headline + ' ' * bool(headline)}{steps}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(map(_step_html, self.record.steps.values()))
        head = "".join(f"<th>{name}</th>" for name in ("step", "kind", "status", "rows", "time"))
        links = "".join(
            f"<p><a href='{escape(page.absolute().as_uri())}'>{escape(str(page))}</a></p>"
            for page in self.reports
        )
        record, words = self.record, told(self._results.store, self.record)
        title = f"{escape(record.name)} · {record.status} in {record.seconds:.1f} s"
        found = "".join(f"<li>{escape(text)}</li>" for _, text in words.findings)
        said = f"<p>{escape(words.headline)}</p><ul>{found}</ul>" if words.headline else ""
        return f"<p><b>{title}</b></p>{said}<table><tr>{head}</tr>{rows}</table>{links}"


def _step_html(step: StepRecord) -> str:
    rows = "" if step.rows is None else f"{step.rows:,}"
    return (
        f"<tr><td>{escape(step.id)}</td><td>{escape(step.kind)}</td><td>{step.status}</td>"
        f"<td style='text-align:right'>{rows}</td>"
        f"<td style='text-align:right'>{step.seconds:.1f} s</td></tr>"
    )


class RunList(tuple[RunSummary, ...]):
    """Runs, oldest first; a notebook shows them as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        lines = [f"{run.id}: {run.status} in {run.seconds:.1f} s" for run in self]
        return f"<{len(self)} runs\n{some(lines[::-1], 40, chr(10))}>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("run", "spec", "status", "started", "time"))
        rows = "".join(
            f"<tr><td>{escape(run.id)}</td><td>{escape(run.name)}</td><td>{escape(run.status)}</td>"
            f"<td>{escape(run.started[:16])}</td><td>{run.seconds:.1f} s</td></tr>"
            for run in self
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


def runs(store: str | Path | None = None) -> RunList:
    """List the runs of a store, oldest first: the store that is named, else ``RMPLUG_STORE``, else
    ``.rmplug`` in the current folder. Runs whose record cannot be read are left out."""
    listed = each_summary(open_store(store))
    return RunList(run for run in listed if not isinstance(run, UnreadableRecord))


def open_run(
    name: str = "last", store: str | Path | None = None, registry: Registry | None = None
) -> Run:
    """Open a run by its id, its spec's name (the latest), the beginning of either, or ``last``.

    ``open_run("quickstart")["accuracy"]`` is the result of the step ``accuracy``,
    ``open_run("quickstart").numbers["accuracy", "ngram"]`` one number with its interval. Nothing is
    run. Raises ``StoreError`` where there is no such run, ``KeyError`` where a result is missing.
    """
    opened = open_store(store)
    record = find_record(opened, name)
    results = Results(registry or discover(), opened, Local().shard_rows)
    handles = {step.id: _handle(results, step) for step in record.steps.values()}
    known = {name: handle for name, handle in handles.items() if handle is not None}
    return Run(results, Scope(known), record)


def _handle(results: Results, step: StepRecord) -> Handle | None:
    """Return the handle of a step's result, or of a loop's results; None of one that is gone."""
    if step.results:
        parts = {name: _stored(results, key) for name, key in step.results.items()}
        there = {name: part for name, part in parts.items() if part is not None}
        return Handle(step.id, Artifact, results=there) if there else None
    return _stored(results, step.artifact)


def _stored(results: Results, key: str) -> Handle | None:
    try:
        return results.handle_of(key) if key and results.store.find(key) else None
    except NewerFormatError:
        return None
