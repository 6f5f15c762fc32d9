"""What ran: written while it runs, so that a killed run tells too."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rmplug.errors import StoreError, did_you_mean
from rmplug.records import RunRecord, SeenRows, StepRecord

from .files import guarded, held, is_held, to_json, write_file
from .store import Store


def new_record(name: str, spec: Mapping[str, Any], spec_file: str, seed: int) -> RunRecord:
    started = datetime.now(UTC)
    when = started.isoformat(timespec="milliseconds")
    stamp = f"{started:%Y%m%d-%H%M%S}-{started.microsecond // 1000:03d}"
    identity = f"{stamp}-{_safe(name)}-{secrets.token_hex(2)}"
    return RunRecord(
        identity, name, dict(spec), spec_file, seed, started=when, environment=environment()
    )


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40]


def environment() -> dict[str, Any]:
    """The machine and the libraries that can matter."""
    names = ("rmplug", "pydantic", "pluggy", "pyarrow", "numpy")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "device": _device(),
        "libraries": {name: _version(name) for name in names},
    }


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def peak_memory_mb() -> float:
    """The most memory that this process has used so far, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak // 1024 if sys.platform == "darwin" else peak
    return round(kilobytes / 1024, 1)


def write_record(store: Store, record: RunRecord) -> Path:
    folder = store.runs / record.id
    with guarded(f"write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "record.json", to_json(asdict(record), in_order=True).encode())
    return folder / "record.json"


@contextmanager
def live(store: Store, record: RunRecord) -> Iterator[float]:
    """While a run goes on: others can see that it does. Gives when it began, by the clock of the
    file system. Waits for ``gc`` to end, if it is at work."""
    with guarded(f"write {store.runs / record.id}"):
        (store.runs / record.id).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with store.lock("gc"):
            stack.enter_context(held(_live_lock(store, record)))
            path = write_record(store, record)
        yield path.stat().st_mtime


def is_live(store: Store, record: RunRecord) -> bool:
    """Whether a run goes on in some process."""
    return is_held(_live_lock(store, record))


def _live_lock(store: Store, record: RunRecord) -> Path:
    return store.runs / record.id / "live.lock"


def read_record(path: Path) -> RunRecord:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        steps = {name: _step_of(step) for name, step in data.pop("steps").items()}
        return RunRecord(**data, steps=steps)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path} is no record of a run ({error}); remove the folder {path.parent.name}"
        ) from error


def _step_of(data: dict[str, Any]) -> StepRecord:
    seen = {name: SeenRows(**entry) for name, entry in data.pop("seen", {}).items()}
    return StepRecord(**data, seen=seen)


def _records(store: Store, name: str = "*") -> list[Path]:
    """Paths of records, oldest first: the name of a run begins with when it started."""
    return sorted(store.runs.glob(f"{name}/record.json"))


def _read(store: Store, path: Path) -> RunRecord:
    """A record; one of a run that was killed says that it was interrupted."""
    record = read_record(path)
    if record.status == "running" and not is_live(store, record):
        record.status = "interrupted"
    return record


def all_records(store: Store) -> list[RunRecord]:
    """Every run that the store knows, oldest first."""
    return [_read(store, path) for path in _records(store)]


def find_record(store: Store, name: str) -> RunRecord:
    """A run by its id, by the beginning of it, by its spec's name (the latest), or ``last``."""
    paths = _records(store)
    for path in reversed(paths):
        if name == "last" or path.parent.name.startswith(name):
            return _read(store, path)
    for path in reversed(paths):
        if read_record(path).name == name:
            return _read(store, path)
    ids = [path.parent.name for path in paths]
    raise StoreError(f"no run {name!r} in {store.root}{did_you_mean(name, ids)}; see rmplug runs")


def previous_steps(store: Store, name: str) -> dict[str, StepRecord]:
    """What each step of the runs with this name last came to; unreadable records tell nothing."""
    found: dict[str, StepRecord] = {}
    for path in _records(store, f"*-{_safe(name)}-*"):
        with suppress(StoreError):
            record = read_record(path)
            if record.name == name:
                found.update({k: s for k, s in record.steps.items() if s.artifact})
    return found
