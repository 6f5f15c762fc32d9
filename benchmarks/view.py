"""What ``rmplug view`` takes where a store is large: 1,000 runs in the list, 1,000,000 rows in a
table.

The runs are copies of one run with its report under new ids; the list is asked for when nothing is
known yet, again when all of it is, and after one run was added. The table has an id, a text of some
20 words, a subset and two numbers in parts of 10,000 rows; its first, middle and last page are
asked for, and the first and last page of filters that match few rows, many, and none.

Measured (Python 3.11, 2 cores, eight processes at work): 1,000 runs are listed in 5.7 s at first,
in 0.5 s again, 0.9 MB of HTML; a page of 1,000,000 rows takes 0.07 to 0.16 s without a filter, with
one 0.6 to 3.3 s at first and 0.04 to 1 s for its next pages; memory does not grow.

Run: ``python benchmarks/view.py [--runs 1000] [--rows 1000000]``
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Pairs
from rmplug._kinds.registry import discover
from rmplug._run.run import run
from rmplug._store.store import Store
from rmplug._view.links import Links
from rmplug._view.pages import Pages
from rmplug.testing import registry_of

PART = 10_000
FILTERS = ("margin > 3.5", "subset in ['s1', 's2'] and margin > 0", "len(chosen) > 150", "1 > 2")


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def many_runs(folder: Path, count: int) -> None:
    """Copy a run and its report many times, and time the list."""
    steps: dict[str, Any] = {
        "pairs": {"kind": "synthetic", "params": {"size": 200}},
        "head": {"kind": "ngram-head", "inputs": "pairs"},
        "reward": {"kind": "reward", "inputs": {"model": "head", "data": "pairs"}},
        "accuracy": {"kind": "pairwise", "inputs": {"data": "pairs", "rewards": ["reward"]}},
        "page": {"kind": "html", "inputs": ["pairs", "accuracy"]},
    }
    made = run({"name": "many", "steps": steps}, store=folder, registry=discover())
    store = Store(folder)
    record = json.loads(made.record_path.read_text())
    report = record["steps"]["page"]["artifact"]

    def add(number: int) -> None:
        key, own = f"{report}{number}", f"20260101-{number:06d}-000-many-{number:04x}"
        shutil.copytree(store.artifacts / report, store.artifacts / key)
        record["id"], record["steps"]["page"]["artifact"] = own, key
        (store.runs / own).mkdir()
        (store.runs / own / "record.json").write_text(json.dumps(record))

    for number in range(count - 1):
        add(number)
    pages = Pages(store, discover())
    first = seconds(lambda: pages.runs(Links()))
    again = seconds(lambda: pages.runs(Links()))
    add(count)
    added = seconds(lambda: pages.runs(Links()))
    size = len(pages.runs(Links()).encode()) / 1e6
    print(f"{count:,} runs: {first:.2f} s at first, {again:.2f} s again,", end=" ")
    print(f"{added:.2f} s after one more; {size:.1f} MB of HTML")


def made_pairs(rows: int) -> Pairs:
    """Pairs of texts of many lengths, made a part at a time."""
    words = np.array(["a", "fine", "short", "reply", "that", "says", "what", "was", "asked"])

    def part(start: int) -> pa.Table:
        random = np.random.default_rng(start)
        count = min(PART, rows - start)
        texts = [" ".join(random.choice(words, 5 + int(n))) for n in random.integers(0, 30, count)]
        return pa.table(
            {
                "id": [f"r{start + n:07d}" for n in range(count)],
                "prompt": [f"Question {(start + n) // 4}?" for n in range(count)],
                "chosen": texts,
                "rejected": texts[::-1],
                "subset": [f"s{n % 7}" for n in range(count)],
                "margin": random.normal(size=count),
            }
        )

    return Pairs.stream(part(start) for start in range(0, rows, PART))


def large_table(folder: Path, rows: int) -> None:
    """Store a table and time its pages."""
    from rmplug import DatasetLoader, hookimpl

    class Large(DatasetLoader):
        """Many pairs."""

        kind = "large"
        count: int = rows
        """Rows."""

        def load(self) -> Pairs:
            return made_pairs(self.count)

    class Kinds:
        """A plugin with the loader."""

        @hookimpl
        def rmplug_dataset_loaders(self) -> list[type[DatasetLoader]]:
            return [Large]

    engine = {"kind": "local", "params": {"workers": 1, "shard_rows": PART}}
    spec = {"name": "large", "engine": engine, "steps": {"pairs": {"kind": "large"}}}
    made = run(spec, store=folder, registry=registry_of(Kinds()))
    pages = Pages(Store(folder), discover())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for page in (1, rows // 100, rows // 50):
        took = seconds(partial(pages.table, Links(), made.record.id, "pairs", page))
        print(f"page {page:,} of {rows:,} rows: {took:.2f} s")
    for where in FILTERS:
        shown = partial(pages.table, Links(), made.record.id, "pairs", where=where)
        first, last = (seconds(partial(shown, page=page)) for page in (1, 10**9))
        print(f"where {where}: {first:.2f} s, its last page then {last:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory: {before:,.0f} MiB before, {peak:,.0f} MiB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many_runs(Path(folder) / "runs", options.runs)
        large_table(Path(folder) / "table", options.rows)


if __name__ == "__main__":
    main()
