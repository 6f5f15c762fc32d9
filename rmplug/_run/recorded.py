"""A run as its record tells it: its results in the store, and the plan that led to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug._store.store import Store
from rmplug.artifacts import Artifact, Report
from rmplug.checks import Check
from rmplug.errors import RmplugError
from rmplug.families import PlanStep, PlanView, Step, reads_files
from rmplug.known import Ref
from rmplug.notices import Notice
from rmplug.records import RunRecord, StepRecord

from .lineage import SeenCounter
from .plan_view import behind, readable
from .results import Results
from .scope import Handle, Scope

READ_ROWS = 8192
"""Rows of each file of a table that would be kept; a report keeps none."""


@dataclass
class RecordedRun:
    """The results of an earlier run, which its spec is not needed for: files may have moved."""

    store: Store
    record: RunRecord
    registry: Registry
    gone: dict[str, str] = field(default_factory=dict)
    """The results that cannot be shown, each with the reason."""

    def __post_init__(self) -> None:
        self.results = Results(self.registry, self.store, READ_ROWS)
        self.scope = Scope()
        for step in self.record.steps.values():
            handle = self._handle(step)
            if handle is not None:
                self.scope.handles[step.id] = handle
            self.scope.plan[step.id] = self._plan_step(step, handle)

    def refs(self) -> list[Ref]:
        """Return the references of all results that a report can show."""
        return [
            Ref(step, name)
            for step, handle in self.scope.handles.items()
            for name in handle.results or ("",)
        ]

    def load(self, refs: Iterable[Ref]) -> list[tuple[Ref, Artifact]]:
        """Load results; one that cannot be read is left out, and the reason noted."""
        loaded = []
        for ref in refs:
            if ref.step not in self.scope.handles:
                self.gone.setdefault(str(ref), "the run has no result of it")
                continue
            try:
                loaded.append((ref, self.results.load(self.scope.at(ref), ref)))
            except RmplugError as error:
                self.gone[str(ref)] = str(error)
        return loaded

    def plan(self, refs: Iterable[Ref]) -> PlanView:
        """Return the steps that led to these results, with the rows that models have seen."""
        listed = list(refs)
        view = behind(self.record.name, self.record.seed, {ref.step for ref in listed}, self.scope)
        handles = tuple(self.scope.at(ref) for ref in listed)
        counted = SeenCounter(self.results).count({"items": handles}, {"items": listed})
        measured = {name: seen for step in view.steps for name, seen in step.seen.items()}
        return replace(view, seen={**measured, **counted})

    def _handle(self, step: StepRecord) -> Handle | None:
        """Return what the step's name stands for; None of a model that is loaded where it is used,
        a report, and a result that is gone."""
        if step.family in ("model loader", "reporter"):
            return None
        named = {name: self._stored(f"{step.id}.{name}", key) for name, key in step.results.items()}
        results = {name: handle for name, handle in named.items() if handle is not None}
        if step.status not in ("done", "reused", "rebuilt") and not results:
            self.gone[step.id] = "it did not finish"
            return None
        if results:
            return Handle("", Artifact, results=results)
        return self._stored(step.id, step.artifact) if step.artifact else None

    def _stored(self, name: str, key: str) -> Handle | None:
        if self.store.find(key) is None:
            self.gone[name] = "its result is no longer in the store"
            return None
        try:
            handle = self.results.handle_of(key)
        except RmplugError as error:
            self.gone[name] = str(error)
            return None
        return None if issubclass(handle.type, Report) else handle

    def _plan_step(self, step: StepRecord, handle: Handle | None) -> PlanStep:
        written = mapping(mapping(self.record.spec.get("steps")).get(step.id))
        cls = self._class(step.kind)
        gives = "RewardModel" if step.family == "model loader" else ""
        return PlanStep(
            id=step.id,
            kind=step.kind.rpartition(":")[2],
            family=step.family,
            summary=_summary(cls),
            inputs=inputs_of(written, step, self.record.steps),
            params=_params(mapping(written.get("params")), cls),
            gives=handle.type.__name__ if handle is not None else gives,
            rows=step.rows,
            notices=list(_notices(step)),
            seen=step.seen,
            checks=list(_checks(step)),
        )

    def _class(self, kind: str) -> type[Step] | None:
        try:
            return self.registry.find(kind).cls
        except RmplugError:
            return None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping of a record; an empty one where a damaged record has none."""
    return value if isinstance(value, Mapping) else {}


def _notices(step: StepRecord) -> Iterator[Notice]:
    """Yield the notices of a step that can be read."""
    for entry in step.notices:
        with suppress(TypeError):
            yield Notice(**entry)


def _checks(step: StepRecord) -> Iterator[Check]:
    """Yield the checks of a step that can be read."""
    for entry in step.checks:
        with suppress(TypeError):
            yield Check(**entry)


def _summary(cls: type[Step] | None) -> str:
    if cls is None:
        return "A kind that is not installed here."
    return (cls.__doc__ or "").strip().splitlines()[0]


def _params(written: Mapping[str, Any], cls: type[Step] | None) -> dict[str, Any]:
    """Return parameters as the page of a run shows them: files without their folders."""
    fields = cls.model_fields if cls is not None else {}
    files = {name for name, info in fields.items() if reads_files(info)}
    return readable(
        {name: _file_names(value) if name in files else value for name, value in written.items()}
    )


def _file_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_file_names(one) for one in value]
    return Path(value).name if isinstance(value, str) else value


def inputs_of(
    written: Mapping[str, Any], step: StepRecord, steps: Mapping[str, StepRecord]
) -> dict[str, list[str]]:
    """Return the inputs of a step by name; those of a loop are the steps that it names inside."""
    inputs = written.get("inputs") or {}
    if not isinstance(inputs, Mapping):
        inputs = {next(iter(step.inputs), "inputs"): inputs}
    found = {
        str(name): [str(one) for one in (refs if isinstance(refs, list) else [refs])]
        for name, refs in inputs.items()
    }
    inside = mapping(written.get("params")).get("steps")
    if isinstance(inside, Mapping):
        named = dict.fromkeys(name for name in _named(inside) if Ref.parse(name).step in steps)
        found["steps"] = [name for name in named if Ref.parse(name).step not in inside]
    return found


def _named(steps: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the inputs of inner steps name, loops inside loops too."""
    for step in steps.values():
        inputs = mapping(step).get("inputs")
        for refs in inputs.values() if isinstance(inputs, Mapping) else [inputs]:
            yield from (str(one) for one in (refs if isinstance(refs, list) else [refs]) if one)
        inner = mapping(mapping(step).get("params")).get("steps")
        yield from _named(inner) if isinstance(inner, Mapping) else ()
