"""CPU time that rmplug takes to start, beside pydantic, on which every spec is built.

    python benchmarks/startup.py [SPEC] [--runs 21]

Medians of user and system time of child processes (``os.wait4``), taken in turns so that a busy
machine slows all of them alike. The aim is at most 2.5 times ``import pydantic``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

AIM = 2.5
QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart.yaml"


def commands(spec: str) -> dict[str, list[str]]:
    """What is measured; the first is what the others are compared with."""
    rmplug = [sys.executable, "-m", "rmplug"]
    return {
        "import pydantic": [sys.executable, "-c", "import pydantic; pydantic.BaseModel"],
        "import rmplug": [sys.executable, "-c", "import rmplug"],
        "rmplug --help": [*rmplug, "--help"],
        f"rmplug check {Path(spec).name}": [*rmplug, "check", spec],
    }


def cpu_seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """User and system time of one child process, which must succeed."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(environment)) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(spec: str, runs: int) -> dict[str, float]:
    """The median CPU time of each command; a first round, which fills caches, is not counted."""
    found: dict[str, list[float]] = {name: [] for name in commands(spec)}
    with tempfile.TemporaryDirectory() as cache:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": cache}
        for _ in range(runs + 1):
            for name, command in commands(spec).items():
                found[name].append(cpu_seconds(command, environment))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("spec", nargs="?", default=str(QUICKSTART))
    options.add_argument("--runs", type=int, default=21)
    chosen = options.parse_args()
    medians = measure(chosen.spec, chosen.runs)
    floor = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(f"{name:36} {seconds * 1000:7.1f} ms  {seconds / floor:5.2f}")
    return int(max(medians.values()) > AIM * floor)


if __name__ == "__main__":
    sys.exit(main())
