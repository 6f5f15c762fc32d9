"""Processor time and memory until workers have given their first states of MiniLM.

    python benchmarks/worker_start.py [--workers 2 8] [--rounds 3]

Workers that are forked from a process with the imports, as on Linux, beside workers that import by
themselves, as elsewhere; in turns, after the model was opened once here, as a run does on trial.
Medians of the CPU seconds of all child processes, and the most memory that they had together, with
shared memory counted once (PSS).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil

import rmplug
import rmplug._run.workers
from rmplug_hf import Encoder

MODEL = {"name": "minilm", "template": "{response}", "device": "cpu"}
WAYS = {"forked": True, "with imports of their own": False}


def child_seconds() -> float:
    """User and system time of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watch(most: list[float], over: threading.Event) -> None:
    """Note the most memory of all child processes, in MB, ten times a second."""
    while not over.wait(0.1):
        held = 0.0
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                held += child.memory_full_info().pss / 1e6
        most.append(held)


def measure(count: int) -> tuple[float, float]:
    """CPU seconds and MB of a run with so many workers, each of which has two shards."""
    engine = {"workers": count, "shard_rows": 1, "least_seconds": 0}
    spec = {
        "engine": {"kind": "local", "params": engine},
        "steps": {
            "pairs": {"kind": "synthetic", "params": {"size": 2 * count}},
            "encoder": {"kind": "encoder", "params": MODEL},
            "states": {"kind": "hidden-state", "inputs": {"model": "encoder", "data": "pairs"}},
        },
    }
    most, over, before = [0.0], threading.Event(), child_seconds()
    watcher = threading.Thread(target=watch, args=(most, over))
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        rmplug.run(spec, store=Path(folder))
    over.set()
    watcher.join()
    return child_seconds() - before, max(most)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    Encoder(**MODEL).load()
    for count in chosen.workers:
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(chosen.rounds):
            for way, forks in WAYS.items():
                rmplug._run.workers.FORKS = forks
                found[way].append(measure(count))
        for way, numbers in found.items():
            seconds, held = (statistics.median(column) for column in zip(*numbers, strict=True))
            print(f"{count} workers {way}: {seconds:.1f} CPU s, {held:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
