"""What the store costs where little work is left: steps that are all reused, items of loops, and
commands on a store with many artifacts and runs.

Reused: a spec of 1,000 steps is run, then run again; every step of the second run is reused. Items:
a loop of 100 items of one small step each, beside the step's own work. Large store: `runs`, `show`
and `gc` where runs of that spec have left 20,000 artifacts and 100 records.

Measured (Python 3.11, 2 cores, busy): 102 records of 1,000 steps are listed in 0.7 s, 2.7 s before
only their heads were read.

Run: ``python benchmarks/store.py [--steps 1000] [--items 100] [--artifacts 20000]``
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import discover
from rmplug._run.run import run
from rmplug._store.gc import collect_garbage
from rmplug._store.run_records import each_summary, find_record, record_paths, write_record
from rmplug._store.store import Store

PAIRS = {"kind": "synthetic", "params": {"size": 20}}
ENGINE = {"kind": "local", "params": {"workers": 1}}


def many_steps(count: int) -> dict[str, Any]:
    """A spec of one loader and many samplers, each with a result of its own."""
    steps = {
        f"some-{n}": {"kind": "random", "inputs": "pairs", "params": {"fraction": n / count}}
        for n in range(1, count)
    }
    return {"name": "many", "engine": ENGINE, "steps": {"pairs": PAIRS, **steps}}


def many_items(count: int) -> dict[str, Any]:
    """A spec with one loop over many items."""
    inner = {
        "some": {"kind": "random", "inputs": {"data": "pairs", "seed": "item"}, "params": {"n": 10}}
    }
    loop = {"values": list(range(count)), "collect": ["some"], "steps": inner}
    steps = {"pairs": PAIRS, "loop": {"kind": "for-each", "params": loop}}
    return {"name": "items", "engine": ENGINE, "steps": steps}


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def reused(folder: Path, count: int) -> None:
    spec, registry = many_steps(count), discover()
    first = seconds(lambda: run(spec, store=folder, registry=registry))
    again = seconds(lambda: run(spec, store=folder, registry=registry))
    print(f"{count:,} steps: {1000 * first / count:.1f} ms a step made,", end=" ")
    print(f"{1000 * again / count:.1f} ms a step reused")


def items(folder: Path, count: int) -> None:
    spec, registry = many_items(count), discover()
    run(many_items(2), store=folder / "warm", registry=registry)
    first = seconds(lambda: run(spec, store=folder / "items", registry=registry))
    again = seconds(lambda: run(spec, store=folder / "items", registry=registry))
    print(f"{count:,} items: {1000 * first / count:.1f} ms an item made,", end=" ")
    print(f"{1000 * again / count:.1f} ms an item reused")


def large(folder: Path, count: int) -> None:
    """Artifacts are copied under new names: commands on a whole store do not look inside."""
    store = Store(folder)
    keys = store.names()
    record = find_record(store, "last")
    per_run = count // 100
    for number in range(100):
        names = [f"random-{number:04d}{n:028x}" for n in range(per_run)]
        for n, name in enumerate(names):
            shutil.copytree(store.artifacts / keys[n % len(keys)], store.artifacts / name)
        record.id = f"20260101-000000-{number:03d}-many-{number:04x}"
        for step, name in zip(record.steps.values(), names, strict=False):
            step.artifact = name
        write_record(store, record)
    work = {
        "runs": lambda: sum(1 for _ in each_summary(Store(folder))),
        "show": lambda: find_record(Store(folder), "many"),
        "gc --dry-run": lambda: collect_garbage(Store(folder), dry_run=True),
        "gc --keep 50": lambda: collect_garbage(Store(folder), keep=50),
    }
    runs = len(record_paths(store))
    for name, do in work.items():
        print(f"{count:,} artifacts, {runs} runs: {name} {seconds(do):.2f} s")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--items", type=int, default=100)
    options.add_argument("--artifacts", type=int, default=20_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        items(Path(folder), given.items)
        reused(Path(folder) / "many", given.steps)
        large(Path(folder) / "many", given.artifacts)


if __name__ == "__main__":
    main()
