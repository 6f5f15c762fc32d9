"""Records of runs: one for the run, one for each of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

FORMAT = 1
"""The format of ``record.json`` that this version writes. It grows when an older rmplug would
misread what a newer one writes; a new field alone does not need that."""


def newer_version(what: str, format: int, known: int) -> str:
    """Explain that a file cannot be wholly understood because it is newer than this rmplug."""
    return f"written by a newer rmplug ({what} format {format}, this one knows {known})"


Unknown = Annotated[dict[str, Any], Field(exclude=True)]
"""Entries of a record that only a newer rmplug knows, or with values that only it understands."""

Status = Literal["waiting", "running", "reused", "done", "rebuilt", "failed", "interrupted"]
RunStatus = Literal["running", "finished", "failed", "interrupted"]


@dataclass(frozen=True)
class SeenRows:
    """The number of rows of an evaluator on which a model was trained."""

    rows: int
    """Rows that were measured."""
    seen: int
    """Rows whose id or group (the same prompt) is in what the model, or a fit on the way to the
    reward, was trained on. Figures on such rows are in-sample."""
    known: bool = True
    """False if a model was made elsewhere, or a table that it was trained on is no longer in the
    store: there may be more rows that it has seen."""

    @property
    def share(self) -> float:
        """The share of rows that are in-sample, from 0 to 1."""
        return self.seen / self.rows if self.rows else 0.0


@dataclass(kw_only=True)
class Usage:
    """The resources that work on a step has used: of one block, one shard, one item, or all."""

    peak_memory_mb: float = 0.0
    """The most memory that a process that worked on the step has used so far, in MiB."""
    texts_known: int = 0
    """Distinct texts that a model was asked about and whose values were kept from before."""
    texts_computed: int = 0
    """Distinct texts that a model was asked about and that it was run on."""
    kept: list[str] = field(default_factory=list)
    """The folders of kept values, in ``kept`` of the store, that were used or added to."""

    def include(self, other: Usage) -> None:
        """Add what other work on the same step has used, in this process or another."""
        self.peak_memory_mb = max(self.peak_memory_mb, other.peak_memory_mb)
        self.texts_known += other.texts_known
        self.texts_computed += other.texts_computed
        self.kept = sorted({*self.kept, *other.kept})


@dataclass
class StepRecord(Usage):
    """One step of a run."""

    id: str
    """The step's id in the spec."""
    kind: str
    """``plugin:kind``."""
    family: str
    """The family of the step's kind."""
    version: str
    """The version of the plugin, with a hash of its files."""
    status: Status = "waiting"
    """``reused``: the result was there; ``rebuilt``: it was there, but damaged."""
    reason: str = ""
    """The reason why the step ran although an earlier run had done it."""
    artifact: str = ""
    """The name of the result in the store."""
    inputs: dict[str, list[str]] = field(default_factory=dict)
    """The artifacts of each input."""
    rows: int | None = None
    """Rows of the result, where it is a table."""
    computed: int = 0
    """Rows computed in this run; those of shards that an earlier run left are not."""
    seconds: float = 0.0
    """Wall time of the step in this run."""
    rows_per_second: float | None = None
    """Rows computed per second of wall time."""
    notices: list[dict[str, Any]] = field(default_factory=list)
    """Odd rows: what, whether kept or dropped, how many, and the first of their ids."""
    checks: list[dict[str, Any]] = field(default_factory=list)
    """Numbers of a model on a few rows beside those of each row alone, without padding and in
    float32: the largest and the mean difference, and the pairs that are decided otherwise."""
    seen: dict[str, SeenRows] = field(default_factory=dict)
    """For an evaluator, a reporter, and any step that asks for it: for each reward or prediction
    that a model stands behind, the rows that its model was trained on."""
    results: dict[str, str] = field(default_factory=dict)
    """For a loop: the artifact of each of its results."""
    items: list[dict[str, Any]] = field(default_factory=list)
    """For a loop: each item with its status, seconds, the artifacts it led to, those of its
    ``steps`` by name, and a message."""
    message: str = ""
    """The reason why the step failed, or the fault of the result that was rebuilt."""
    traceback: str = ""
    """The location in the code where the step failed, if it was a bug and no mistake that a
    person can mend."""
    unknown: Unknown = field(default_factory=dict)
    """The entries that a newer rmplug wrote of the step and this one does not understand."""


@dataclass
class RunRecord:
    """One run of a spec."""

    id: str
    """The name of the run's folder."""
    name: str
    """The name in the spec."""
    spec: dict[str, Any]
    """The spec as it ran, with ``--set`` applied."""
    spec_file: str
    seed: int
    status: RunStatus = "running"
    started: str = ""
    """UTC, ISO 8601."""
    seconds: float = 0.0
    environment: dict[str, Any] = field(default_factory=dict)
    """Python, operating system, processor, device, and versions of libraries."""
    steps: dict[str, StepRecord] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    """The steps that were not run because a step that they need failed (``--keep-going``), each
    with the reason."""
    problems: list[str] = field(default_factory=list)
    """The problems outside the steps, such as an observer that failed."""
    format: int = FORMAT
    """The format of the record."""
    unknown: Unknown = field(default_factory=dict)
    """The entries that a newer rmplug wrote of the run and this one does not understand."""

    @property
    def is_understood(self) -> bool:
        """True if every entry of the record is known and of a known format."""
        aside = [self.unknown, *(step.unknown for step in self.steps.values())]
        return self.format <= FORMAT and not any(aside)

    @property
    def note(self) -> str:
        """The message to a person who reads a record of a newer version; else empty."""
        if self.format <= FORMAT:
            return ""
        newer = newer_version("record", self.format, FORMAT)
        return f"{newer}; shown as far as it is understood"

    def artifacts(self) -> set[str]:
        """Return every artifact that this run made or used."""
        own = {key for step in self.steps.values() for key in artifacts_of(step)}
        taken = {key for s in self.steps.values() for keys in s.inputs.values() for key in keys}
        return own | taken

    def kept(self) -> set[str]:
        """Return every folder of kept values that this run used or added to."""
        return {name for step in self.steps.values() for name in step.kept}


def artifacts_of(step: StepRecord) -> set[str]:
    """Return every artifact that a step gave; of a loop, those of the steps inside, too."""
    inner = {key for item in step.items for key in item["artifacts"]}
    return {step.artifact, *step.results.values(), *inner} - {""}


@dataclass(frozen=True)
class RunSummary:
    """The line of one run in a list of runs."""

    id: str
    name: str
    status: str
    started: str
    seconds: float
    ended: int
    """Steps that have a result."""
    steps: int
    """Steps of the spec."""
    note: str = ""
    reports: tuple[str, ...] = ()
    """The artifacts of its reports."""
    reason: str = ""
    """The first step that failed, and why."""
