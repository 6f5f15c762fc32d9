"""The machine that a run is on: its description, and what work uses of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rmplug.records import Usage

STATUS = Path("/proc/self/status")
"""The file in which Linux tells what a process uses."""


def describe_machine() -> dict[str, Any]:
    """Describe the machine and the versions of the libraries that can matter."""
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


@contextmanager
def measured(usage: Usage) -> Iterator[None]:
    """Measure what this process uses in a block of work, whether it ends well or fails, and add it
    to ``usage``."""
    try:
        yield
    finally:
        usage.include(Usage(peak_memory_mb=_peak_memory_mb()))


def _peak_memory_mb() -> float:
    """Read the most memory that this process has used so far, in MiB; 0 where the system has no way
    that is known here (Windows)."""
    try:
        status = STATUS.read_text(encoding="ascii")
        kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        try:
            import resource
        except ModuleNotFoundError:
            return 0.0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak // 1024 if sys.platform == "darwin" else peak
    return round(kilobytes / 1024, 1)
