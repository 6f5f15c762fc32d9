"""Peak memory of a feature run over 250,000 and 1,000,000 pairs that are made on the fly.

Each run is a process of its own with one or two workers; its memory and that of its workers is
read every 20 ms (resident, without the pages of files), and the most that one of them and that all
of them together used is shown. The limit is 1.5 GB for each process.

Measured (Python 3.11, 2 cores, 1 worker): 165 MB for 250,000 pairs, 174 MB for 1,000,000. The
hashes by which the loading process finds ids and rows that were there before lie in files.

Run: ``python benchmarks/memory.py [--pairs 250000 1000000] [--workers 1 2]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

LIMIT_MB = 1500
SPEC = {
    "name": "memory",
    "seed": 13,
    "steps": {
        "pairs": {"kind": "synthetic", "params": {}},
        "words": {"kind": "lexical", "inputs": "pairs"},
    },
}


class Watch(threading.Thread):
    """The most memory that a process and its children have used, one by one and together."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.one = self.all = 0.0

    def run(self) -> None:
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            try:
                family = [self.process, *self.process.children(recursive=True)]
                used = [unshared_mb(member) for member in family]
            except psutil.Error:
                continue
            self.one, self.all = max(self.one, *used), max(self.all, sum(used))
            time.sleep(0.02)


def unshared_mb(process: psutil.Process) -> float:
    found = process.memory_info()
    return (found.rss - found.shared) / 1e6


def measure(pairs: int, workers: int, folder: Path) -> dict[str, float]:
    """One run from an empty store."""
    spec = json.loads(json.dumps(SPEC))
    spec["steps"]["pairs"]["params"]["size"] = pairs
    spec["engine"] = {"kind": "local", "params": {"workers": workers}}
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "rmplug", "run", str(path), "--store", str(folder / "st")]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    watch = Watch(psutil.Process(process.pid))
    watch.start()
    if process.wait():
        raise SystemExit(process.returncode)
    watch.join()
    [record] = (folder / "st").glob("runs/*/record.json")
    steps = json.loads(record.read_text())["steps"]
    return {
        "largest process, MB": watch.one,
        "all processes, MB": watch.all,
        "seconds": time.monotonic() - started,
        **{f"{name}, peak MiB in record": step["peak_memory_mb"] for name, step in steps.items()},
        **{f"{name}, s": step["seconds"] for name, step in steps.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    for workers in options.workers:
        largest = []
        for pairs in options.pairs:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(pairs, workers, Path(folder))
            facts = ", ".join(f"{name} {value:,.0f}" for name, value in found.items())
            print(f"{pairs:>9,} pairs, {workers} workers: {facts}", flush=True)
            largest.append(found["largest process, MB"])
        growth = largest[-1] / largest[0] - 1
        print(f"  grows by {growth:+.1%}; limit {LIMIT_MB} MB kept: {max(largest) < LIMIT_MB}")


if __name__ == "__main__":
    main()
