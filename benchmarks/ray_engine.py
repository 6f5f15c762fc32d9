"""The engine ``ray`` beside ``local``: the same job, with two workers each, on this machine.

Two jobs: rewards of synthetic pairs by a causal model of 4 layers, 256 wide (random weights), and
lexical features of many pairs, where a task is little work and what an engine adds shows most. Each
engine runs in a process of its own, ``ray`` with a cluster of its own. A first step with few rows
starts cluster, workers and imports; from the start of the second step to its end, the CPU seconds
of all processes are counted, the cluster's included. The results must be the same bytes.

Run: ``python benchmarks/ray_engine.py [--job reward words] [--pairs 2048] [--rounds 1]``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from pydantic import PrivateAttr

from rmplug import Observer, run
from rmplug.records import StepRecord

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
ENGINES = ("local", "ray")
SHARD = {"reward": 64, "words": 8192}
"""Pairs of a shard."""
MANY = {"reward": 1, "words": 32}
"""Pairs of a job for each one asked for."""
LENGTH = 256
"""Tokens of a text at most."""


class Costs(Observer):
    """Counts the seconds of one step: on the clock, and of all processes of the run."""

    kind = "costs"
    _before: tuple[float, float] = PrivateAttr(default=(0.0, 0.0))
    _costs: dict[str, float] = PrivateAttr(default_factory=dict)

    def step_started(self, step: StepRecord) -> None:
        if step.id == "job":
            self._before = (seconds_of_all(), time.monotonic())

    def step_finished(self, step: StepRecord) -> None:
        if step.id == "job":
            cpu, clock = self._before
            self._costs = {"cpu": seconds_of_all() - cpu, "wall": time.monotonic() - clock}


def seconds_of_all() -> float:
    """Return the CPU seconds of this process and of all that it has started, directly or not."""
    this = psutil.Process()
    times = [each.cpu_times() for each in (this, *this.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def spec_of(job: str, pairs: int, engine: str, model: Path) -> dict[str, Any]:
    params: dict[str, Any] = {"workers": 2, "shard_rows": SHARD[job], "keep_scores": False}
    if engine == "ray":
        params["address"] = "local"
    few = 2 * SHARD[job]  # two tasks, so that both workers start
    steps: dict[str, Any] = {
        "few": {"kind": "synthetic", "params": {"size": few}},
        "many": {"kind": "synthetic", "params": {"size": pairs}},
    }
    if job == "reward":
        steps["model"] = {"kind": "sequence-classifier", "params": {"path": str(model)}}
        for step, data in (("start", "few"), ("job", "many")):
            steps[step] = {"kind": "reward", "inputs": {"model": "model", "data": data}}
    else:
        for step, data in (("start", "few"), ("job", "many")):
            steps[step] = {"kind": "lexical", "inputs": data}
    return {"name": "growing", "engine": {"kind": engine, "params": params}, "steps": steps}


def measure(job: str, pairs: int, engine: str, model: Path, store: Path) -> dict[str, float]:
    """Run a job in a process of its own; return what its second step took."""
    here = [sys.executable, __file__, "--pairs", str(pairs), "--rounds", "0", "--job", job]
    done = subprocess.run(
        [*here, "--engine", engine, "--model", str(model), "--store", str(store)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        check=True,
    )
    costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return costs


def parts(store: Path) -> dict[str, str]:
    """Every part of every table, with a hash of its bytes."""
    found = sorted(store.glob("artifacts/*/part-*.parquet"))
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def compare(job: str, pairs: int, rounds: int, model: Path, folder: Path) -> None:
    """Print what both engines take, and the ratios."""
    totals: dict[str, Counter[str]] = {engine: Counter() for engine in ENGINES}
    for number in range(rounds):
        stores = {engine: folder / f"{job}-{number}-{engine}" for engine in ENGINES}
        for engine, store in stores.items():
            totals[engine].update(measure(job, pairs, engine, model, store))
        local, ray = map(parts, stores.values())
        assert local == ray and len(local) > 2, "the results differ"
    local, ray = totals.values()
    print(
        f"{job}, {pairs:,} pairs, {rounds} times, the same bytes: local {local['cpu']:.1f} CPU s "
        f"({local['wall']:.1f} s), ray {ray['cpu']:.1f} ({ray['wall']:.1f}); ray / local: CPU "
        f"{ray['cpu'] / local['cpu']:.2f}, wall {ray['wall'] / local['wall']:.2f}; "
        f"load {os.getloadavg()[0]:.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", nargs="+", choices=list(SHARD), default=list(SHARD))
    parser.add_argument("--pairs", type=int, default=2048, help="words: 32 for each")
    parser.add_argument("--rounds", type=int, default=1)
    for name in ("engine", "model", "store"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        costs = Costs()
        spec = spec_of(options.job[0], options.pairs, options.engine, Path(options.model))
        run(spec, store=options.store, observers=[costs], quiet=True)
        print(json.dumps(costs._costs))
        return
    from scoring_data import model_in  # not in the processes that are measured

    with tempfile.TemporaryDirectory() as place:
        model = model_in(Path(place), "llama", LENGTH)
        for job in options.job:
            compare(job, options.pairs * MANY[job], options.rounds, model, Path(place))


if __name__ == "__main__":
    main()
