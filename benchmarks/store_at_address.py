"""What a store at an address costs beside one in a folder, for a small job: a loader, features of
its pairs, 20 steps of little work.

Each job is run in a folder and at an address by turns; then again, all of it reused; then as on
another machine, which fetches all of it. CPU seconds are those of this process; the server has its
own. Seconds of a server on the same machine say nothing of a network: of one whose answers take
longer, each of the files costs that more, 10 or so at once.

Run: ``AWS_ENDPOINT_URL=… python benchmarks/store_at_address.py s3://BUCKET/FOLDER``, with an S3
server such as ``moto_server`` and its bucket; what is left in the folder is to be removed by hand.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

from rmplug._kinds.registry import discover
from rmplug._run.run import run
from rmplug._store.address import MIRRORS
from rmplug._store.store_folder import open_store


def job(pairs: int, seed: int) -> dict[str, Any]:
    """Return a spec whose results no other one has."""
    steps = {
        f"some-{n}": {"kind": "random", "inputs": "pairs", "params": {"fraction": n / 21}}
        for n in range(1, 21)
    }
    loader = {"kind": "synthetic", "params": {"size": pairs}}
    words = {"kind": "lexical", "inputs": "pairs"}
    engine = {"kind": "local", "params": {"workers": 1, "shard_rows": 500}}
    return {
        "name": "small", "seed": seed, "engine": engine,
        "steps": {"pairs": loader, "words": words, **steps},
    }  # fmt: skip


def measured(spec: dict[str, Any], store: str) -> tuple[float, float]:
    """Run a spec; return its CPU seconds and seconds."""
    started, used = time.perf_counter(), time.process_time()
    run(spec, store=store, registry=discover(), quiet=True)
    return time.process_time() - used, time.perf_counter() - started


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("address")
    options.add_argument("--pairs", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.rounds + 1):
            spec, address = job(given.pairs, seed), f"{given.address}/{time.time_ns()}"
            os.environ[MIRRORS] = f"{folder}/here"
            times = {
                "folder, made": measured(spec, f"{folder}/store-{seed}"),
                "address, made": measured(spec, address),
                "folder, reused": measured(spec, f"{folder}/store-{seed}"),
                "address, reused": measured(spec, address),
            }
            os.environ[MIRRORS] = f"{folder}/there"
            times["address, fetched"] = measured(spec, address)
            if seed:  # the first one imports what all need
                for name, pair in times.items():
                    found.setdefault(name, []).append(pair)
        files = open_store(address).bucket.files("artifacts")  # type: ignore[attr-defined]
        size = sum(file.bytes for file in files.values()) / 1e6
    print(f"{len(files)} files, {size:.1f} MB, {given.rounds} rounds")
    for name, pairs in found.items():
        cpu, wall = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{name}: {cpu:.2f} CPU seconds, {wall:.2f} seconds (medians)")


if __name__ == "__main__":
    main()
