"""``record.json``: a record as a file, and back as far as it is understood."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from rmplug.errors import StoreError
from rmplug.records import (
    FORMAT,
    RunRecord,
    RunStatus,
    RunSummary,
    Status,
    StepRecord,
    newer_version,
)

from .files import plain

RECORD = "record.json"
KNOWN = {cls: {entry.name for entry in fields(cls)} for cls in (RunRecord, StepRecord)}
"""The entries of a record and of a step that this version knows."""


@cache
def _records() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)  # builds a validator: only commands that need records pay for it


def record_bytes(record: RunRecord) -> bytes:
    """The content of ``record.json``."""
    return _records().dump_json(record, indent=1, fallback=plain, warnings=False) + b"\n"


def record_data(record: RunRecord) -> dict[str, Any]:
    """A record as plain data, with the entries that only a newer version knows."""
    data = _records().dump_python(record, mode="json", fallback=plain, warnings=False)
    for name, step in record.steps.items():
        data["steps"][name] |= step.unknown
    return {**data, **record.unknown}


def read_record(path: Path) -> RunRecord:
    """Read a record as far as it is understood; one that cannot be read raises ``StoreError``."""
    try:
        data = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{_no_record(path, error)}; {_advice(path)}") from error
    try:
        record = _parsed(data)
        if record.id != path.parent.name:  # a record from elsewhere could name any folder
            raise ValueError(f"it says that it is the run {record.id[:80]!r}")
        return record
    except ValueError as error:
        if _is_newer(data):
            newer = newer_version("record", data["format"], FORMAT)
            raise StoreError(f"{_no_record(path, error)}: {newer}") from error
        raise StoreError(f"{_no_record(path, error)}; {_advice(path)}") from error


def read_summary(path: Path) -> RunSummary:
    """Summarise a record without making an object of each of its steps, which takes eight times as
    long; one with anything unusual in it is read as a whole."""
    try:
        head = _heads().validate_json(path.read_bytes())
        if (head.format, head.id) == (FORMAT, path.parent.name):
            return _summary(head, len(head.spec.steps))
    except (OSError, ValidationError):
        pass
    record = read_record(path)
    steps = record.spec.get("steps")
    return _summary(record, len(steps) if isinstance(steps, dict) else 0, record.note)


def _summary(record: RunRecord | _Head, steps: int, note: str = "") -> RunSummary:
    unknown = record.unknown if isinstance(record, RunRecord) else {}
    status = str(unknown.get("status", record.status))
    ended = sum(step.status in ("done", "reused", "rebuilt") for step in record.steps.values())
    pages = (step.artifact for step in record.steps.values() if step.family == "reporter")
    reports = tuple(key for key in pages if key)
    failed = ((name, step) for name, step in record.steps.items() if step.status == "failed")
    reason = next((f"{name}: {step.message}" for name, step in failed), "")
    return RunSummary(
        record.id,
        record.name,
        status,
        record.started,
        record.seconds,
        ended,
        steps,
        note,
        reports,
        reason,
    )


@dataclass
class _StepHead:
    status: Status
    family: str = ""
    artifact: str = ""
    message: str = ""


@dataclass
class _Skipped:
    """A mapping that is passed over."""


@dataclass
class _SpecHead:
    steps: dict[str, _Skipped] = field(default_factory=dict)


@dataclass
class _Head:
    """The entries of a record that its summary needs."""

    id: str
    name: str
    status: RunStatus
    started: str
    seconds: float
    format: int
    spec: _SpecHead
    steps: dict[str, _StepHead]


@cache
def _heads() -> TypeAdapter[_Head]:
    return TypeAdapter(_Head)


def _no_record(path: Path, error: OSError | ValueError) -> str:
    return f"{path} is no record of a run that can be read ({_reason(error)})"


def _advice(path: Path) -> str:
    return f"remove the folder {path.parent.name} if nothing is lost with it"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return getattr(error, "strerror", None) or str(error)


def _parsed(data: Any) -> RunRecord:
    """A record from plain data. Entries that are not known are kept aside; in a record of a newer
    version, so are those whose values are not understood."""
    aside: dict[str, Any] = {}
    try:
        record = _records().validate_python(data)
    except ValidationError as error:
        if not _is_newer(data):
            raise
        aside = _not_understood(data, error)
        record = _records().validate_python(data)
    record.unknown = {**_unknown(RunRecord, data), **aside}
    for name, step in record.steps.items():
        step.unknown |= _unknown(StepRecord, data["steps"][name])
    return record


def _is_newer(data: Any) -> bool:
    number = data.get("format") if isinstance(data, dict) else None
    return isinstance(number, int) and number > FORMAT


def _not_understood(data: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """Take the entries that an error names out of the data; gives those of the run. Those of a
    step go to its own ``unknown``."""
    aside: dict[str, Any] = {}
    for each in error.errors(include_url=False, include_input=False):
        match each["loc"]:
            case ("steps", str(step), str(name), *_):
                entries = data["steps"][step]
                if name in entries:
                    entries.setdefault("unknown", {})[name] = entries.pop(name)
            case (str(name), *_) if name in data:
                aside[name] = data.pop(name)
    return aside


def _unknown(cls: type[RunRecord | StepRecord], data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in KNOWN[cls]}
