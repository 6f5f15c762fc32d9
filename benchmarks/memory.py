"""Peak memory of a run over pairs that are made on the fly: of few and of many pairs.

``words`` are row-wise features; ``reward`` asks a real reward model, a BERT of two layers that is
made for it, for both responses of each pair, of which most are longer than the model reads.

Each run is a process of its own with one or two workers; its memory and that of its workers is
read every 20 ms (resident, without the pages of files), and the most that one of them and that all
of them together used is shown. The limit is 1.5 GB for each process.

Measured (Python 3.11, 2 cores, 1 worker): 165 MB for 250,000 pairs, 174 MB for 1,000,000. The
hashes by which the loading process finds ids and rows that were there before lie in files.
``reward``: 414 MB for 10,000 pairs, 437 MB for 100,000 (the whole process: Python, torch and the
model, which reads a part of long texts only), as much more as the step that loads the pairs takes
(148 and 185 MiB). A group of shards is 1,280 pairs of 10,000 and 2,048 of 100,000 or more.

Run: ``python benchmarks/memory.py [--pairs 250000 1000000] [--workers 1 2]``, and
``python benchmarks/memory.py --job reward --pairs 10000 100000 --workers 1``
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
from typing import Any

import psutil

from rmplug.testing.tiny_models import tiny_model

LIMIT_MB = 1500


def spec_of(job: str, pairs: int, workers: int, folder: Path) -> dict[str, Any]:
    """A run of the job on as many pairs; the reward model is made in ``folder``."""
    steps: dict[str, Any] = {"pairs": {"kind": "synthetic", "params": {"size": pairs}}}
    if job == "words":
        steps["words"] = {"kind": "lexical", "inputs": "pairs"}
    else:
        params = {"path": str(tiny_model("bert", folder / "models")), "device": "cpu"}
        steps["model"] = {"kind": "sequence-classifier", "params": params}
        steps["reward"] = {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}}
    engine = {"kind": "local", "params": {"workers": workers}}
    return {"name": "memory", "seed": 13, "engine": engine, "steps": steps}


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


def measure(job: str, pairs: int, workers: int, folder: Path) -> dict[str, float]:
    """One run from an empty store."""
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec_of(job, pairs, workers, folder)))
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
        **{
            f"{name}, peak MiB in record": step["peak_memory_mb"] or 0
            for name, step in steps.items()
        },
        **{f"{name}, s": step["seconds"] for name, step in steps.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", choices=("words", "reward"), default="words")
    parser.add_argument("--pairs", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    for workers in options.workers:
        largest = []
        for pairs in options.pairs:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(options.job, pairs, workers, Path(folder))
            facts = ", ".join(f"{name} {value:,.0f}" for name, value in found.items())
            print(f"{pairs:>9,} pairs, {workers} workers: {facts}", flush=True)
            largest.append(found["largest process, MB"])
        growth = largest[-1] / largest[0] - 1
        print(f"  grows by {growth:+.1%}; limit {LIMIT_MB} MB kept: {max(largest) < LIMIT_MB}")


if __name__ == "__main__":
    main()
