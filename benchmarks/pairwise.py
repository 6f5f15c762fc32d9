"""CPU time and memory of a run from ``synthetic`` to the report: what ``pairwise`` costs by pairs.

The reward is the difference in words; one worker, an empty store, a process of its own. Peak memory
is that of the whole process, with the pages of files that it has mapped.

Measured (Python 3.11, a busy machine with 2 cores; another one than the numbers before it): 50,000
pairs 14.9 CPU s and 538 MB before texts were read a part at a time and marks counted once, 12.8 s
and 452 MB after; 200,000 pairs 31 CPU s and 604 MB; 1,000,000 pairs 159 CPU s and 2,635 MB before,
124 s and 1,410 MB after. On a slower machine, 50,000 pairs took 36.7 CPU s and 1,163 MB before
blocks of prompts and a streamed n-gram baseline, 19.3 s and 514 MB after.

Run: ``python benchmarks/pairwise.py [--pairs 50000 200000 1000000]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = {
    "name": "pairwise",
    "seed": 13,
    "steps": {
        "pairs": {"kind": "synthetic", "params": {}},
        "words": {
            "kind": "lexical",
            "inputs": "pairs",
            "params": {"measures": ["words"], "sides": ["difference"]},
        },
        "accuracy": {"kind": "pairwise", "inputs": {"data": "pairs", "rewards": ["words"]}},
        "report": {"kind": "html", "inputs": ["pairs", "words", "accuracy"]},
    },
}


def measure(pairs: int, folder: Path) -> None:
    """One run from an empty store."""
    spec = json.loads(json.dumps(SPEC))
    spec["steps"]["pairs"]["params"]["size"] = pairs
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "rmplug", "run", str(path), "--store", str(folder / "st")]
    started = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(os.waitstatus_to_exitcode(status))
    [record] = (folder / "st").glob("runs/*/record.json")
    steps = json.loads(record.read_text())["steps"]
    seconds = ", ".join(f"{name} {step['seconds']:.1f} s" for name, step in steps.items())
    print(
        f"{pairs:>9,} pairs: {usage.ru_utime + usage.ru_stime:.1f} CPU s, "
        f"{time.monotonic() - started:.1f} s, {usage.ru_maxrss / 1024:,.0f} MB ({seconds})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, nargs="+", default=[50_000, 200_000])
    for pairs in parser.parse_args().pairs:
        with tempfile.TemporaryDirectory() as folder:
            measure(pairs, Path(folder))


if __name__ == "__main__":
    main()
