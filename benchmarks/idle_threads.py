"""What a run takes whose idle threads sleep soon, as rmplug has them do, beside the same run with
threads that wait as long as their libraries do by themselves.

Each run is a process with a store of its own, with the threads that libraries take by themselves;
in turns, so that a busy machine slows both alike. Medians, with the least and the most, of the CPU
seconds (user and system, child processes included) and of the time that passes; and how many cores
other processes used meanwhile, which lengthens the wait of threads that do not sleep.

Run: ``python benchmarks/idle_threads.py [SPEC] --runs 4``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart.yaml"
WAYS = {
    "they sleep soon": {},
    "as their libraries do": {"GOMP_SPINCOUNT": "300000", "OPENBLAS_THREAD_TIMEOUT": "26"},
}
"""What is set beside nothing else; of the second, the values that the libraries have built in."""
ONE_PROCESS = ("--set", "engine.params.workers=1")
"""Workers share the cores, and start where a busy machine makes work long."""
LIBRARIES = ("OMP_", "GOMP_", "OPENBLAS_", "MKL_")


def measure(spec: str, given: Mapping[str, str]) -> tuple[float, float, float]:
    """CPU seconds and passed seconds of one run, and the cores that others used meanwhile."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LIBRARIES)}
    with tempfile.TemporaryDirectory() as store:
        before, started = busy_seconds(), time.monotonic()
        command = [sys.executable, "-m", "rmplug", "run", spec, "--store", store, *ONE_PROCESS]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**kept, **given}
        ) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - started
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    used = usage.ru_utime + usage.ru_stime
    return used, passed, max(0.0, busy_seconds() - before - used) / passed


def busy_seconds() -> float:
    """Seconds in which the cores of this machine did something, since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("spec", nargs="?", default=str(QUICKSTART))
    options.add_argument("--runs", type=int, default=4)
    chosen = options.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for _ in range(chosen.runs):
        for way, given in WAYS.items():
            found[way].append(measure(chosen.spec, given))
            print(way, *(f"{number:.2f}" for number in found[way][-1]), file=sys.stderr, flush=True)
    for way, runs in found.items():
        cpu, passed, others = (sorted(column) for column in zip(*runs, strict=True))
        print(
            f"{way:22} {statistics.median(cpu):6.1f} CPU s ({cpu[0]:.1f} to {cpu[-1]:.1f}), "
            f"{statistics.median(passed):6.1f} s ({passed[0]:.1f} to {passed[-1]:.1f}), others "
            f"used {statistics.median(others):.1f} cores"
        )


if __name__ == "__main__":
    main()
