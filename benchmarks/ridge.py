"""`multi-objective-ridge` beside a scikit-learn loop over attributes and strengths.

Both read the same shards of states (safetensors, memory-mapped), hold out the same fifth of the
rows, try nine strengths for each of 19 attributes, and keep the best; in processes of their own, on
one thread. Seconds are of processor time, from the opened files to the weights, memory is the most
that the process held. The last column is the greatest distance between the two weights, relative.
The spectrum of the states falls by a factor of 30 with a few large directions, as that of a
language model does.

Run: python benchmarks/ridge.py [--scale 1.0] [--case NAME] [--folder FOLDER]. `--scale 0.1` takes a
tenth of the rows of each case. `large` has no scikit-learn beside it: it would not fit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

ATTRIBUTES = 19
ALPHAS = tuple(10.0**power for power in range(-4, 5))
SIZES = (5, 5, 1, 1, 1, 1, 5)
"""Attributes of each of seven sources."""


@dataclass(frozen=True)
class Case:
    rows: int
    width: int
    dtype: str
    masks: str
    shards: int = 2
    beside: bool = True


CASES = {
    "sources": Case(50_000, 2048, "F32", "sources"),
    "sources-bf16": Case(200_000, 1024, "BF16", "sources"),
    "random-masks": Case(50_000, 2048, "F32", "random"),
    "large": Case(600_000, 4096, "BF16", "sources", 12, beside=False),
}


def labels_of(case: Case, rows: int, rng: np.random.Generator, clean: np.ndarray) -> np.ndarray:
    """Noisy labels with those of other sources, or half of them at random, missing."""
    labels = clean + 0.3 * rng.standard_normal(clean.shape)
    if case.masks == "random":
        missing = rng.random(labels.shape) < 0.5
    else:
        source = np.repeat(np.arange(len(SIZES)), SIZES)
        missing = rng.integers(0, len(SIZES), rows)[:, None] != source
    return np.where(missing, np.nan, labels).astype(np.float32)


def make(case: Case, scale: float, folder: Path) -> None:
    """Writes the shards of a case, a few rows at a time."""
    from rmplug_armorm.export._safetensors_rows import write_tensors

    rng = np.random.default_rng(0)
    total = int(case.rows * scale)
    spread = np.geomspace(1, 1 / 30, case.width)
    spread[:8] *= 10
    truth = rng.standard_normal((case.width, ATTRIBUTES)) / np.linalg.norm(spread)
    mix = np.linalg.qr(rng.standard_normal((64, 64)))[0]
    for shard in range(case.shards):
        rows = total // case.shards
        states = np.empty((rows, case.width), np.float32)
        for start in range(0, rows, 4096):
            part = states[start : start + 4096]
            part[:] = rng.standard_normal(part.shape, np.float32) * spread
            part.reshape(len(part), -1, 64)[:] @= mix.astype(np.float32)
        clean = np.concatenate([states[s : s + 4096] @ truth for s in range(0, rows, 4096)])
        labels = labels_of(case, rows, rng, clean)
        write_tensors(
            folder / f"states-{shard + 1:05d}-of-{case.shards:05d}.safetensors",
            {"embeddings": (case.dtype, states.shape), "labels": ("F32", labels.shape)},
            {
                "embeddings": (states[s : s + 4096] for s in range(0, rows, 4096)),
                "labels": [labels],
            },
        )


def with_rmplug(folder: Path) -> np.ndarray:
    """The estimator, on tables that read the shards as they are asked."""
    import pyarrow as pa

    from rmplug import Features
    from rmplug.data.rows import Rows, as_column
    from rmplug_armorm import MultiObjectiveRidge
    from rmplug_armorm.export._embeddings_file import EmbeddingsSet, open_set
    from rmplug_armorm.heads._heads_file import read_heads

    class ShardRows(Rows):
        def __init__(self, whole: EmbeddingsSet, tensor: str) -> None:
            self.parts = [tensors[tensor] for tensors in whole.files]
            self.names = [f"a{k}" for k in range(ATTRIBUTES)] if tensor == "labels" else None
            self._schema = self.read(0, 1).schema

        @property
        def schema(self) -> pa.Schema:
            return self._schema

        def stored(self, name: str) -> pa.ChunkedArray | None:
            ids = pa.array(np.arange(len(self))).cast(pa.string())
            return pa.chunked_array([ids]) if name == "id" else None

        def __len__(self) -> int:
            return sum(part.shape[0] for part in self.parts)

        def read(self, start: int, stop: int) -> pa.Table:
            pieces, offset = [], 0
            for part in self.parts:
                low, high = max(start - offset, 0), min(stop - offset, part.shape[0])
                if low < high:
                    pieces.append(part.rows(low, high))
                offset += part.shape[0]
            values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            table = pa.table({"id": pa.array(np.arange(start, stop)).cast(pa.string())})
            if self.names is None:
                return table.append_column("response", as_column(values))
            for name, column in zip(self.names, values.T, strict=True):
                table = table.append_column(name, pa.array(column.astype(np.float64)))
            return table

    whole = open_set(sorted(folder.glob("*.safetensors")))
    step = MultiObjectiveRidge.model_validate(
        {"attributes": {f"a{k}": {"column": f"a{k}"} for k in range(ATTRIBUTES)}}
        | {"compat": "original"}
    )
    states = Features(ShardRows(whole, "embeddings"), "states")
    labels = Features(ShardRows(whole, "labels"), "labels")
    with TemporaryDirectory() as place:
        step.fit([states], [labels], seed=0, directory=Path(place))
        return np.asarray(read_heads(Path(place)).weight)


def with_scikit_learn(folder: Path) -> np.ndarray:
    """One fit per attribute and strength, in float32, and one more of the best."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import train_test_split

    from rmplug_armorm.export._embeddings_file import open_set

    found = list(open_set(sorted(folder.glob("*.safetensors"))).batches(8192))
    states = np.concatenate([part["embeddings"] for part in found])
    labels = np.concatenate([part["labels"] for part in found])
    del found
    train, test, y_train, y_test = train_test_split(states, labels, test_size=0.2, random_state=42)
    weights = []
    for k in range(ATTRIBUTES):
        known, held = ~np.isnan(y_train[:, k]), ~np.isnan(y_test[:, k])
        x, y, x_held, y_held = train[known], y_train[known, k], test[held], y_test[held, k]
        errors = []
        for alpha in ALPHAS:
            model = Ridge(alpha=alpha, fit_intercept=False).fit(x, y)
            errors.append(float(np.mean((model.predict(x_held) - y_held) ** 2)))
        best = ALPHAS[int(np.argmin(errors))]
        weights.append(Ridge(alpha=best, fit_intercept=False).fit(x, y).coef_)
    return np.stack(weights)


METHODS = {"rmplug": with_rmplug, "scikit-learn": with_scikit_learn}


def work(method: str, folder: Path, result: Path) -> None:
    """In a process of its own: the weights to a file, seconds and memory to the standard output."""
    from scipy import linalg  # noqa: F401

    start = time.process_time()
    weights = METHODS[method](folder)
    seconds = time.process_time() - start
    np.save(result, weights)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak}))


def measure(method: str, folder: Path, result: Path) -> dict[str, Any]:
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, __file__, "--work", method, str(folder), str(result)]
    done = subprocess.run(
        command, env={**os.environ, **threads}, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(name: str, scale: float, place: str | None) -> None:
    case = CASES[name]
    with TemporaryDirectory(dir=place) as folder:
        shards = Path(folder) / "shards"
        shards.mkdir()
        make(case, scale, shards)
        print(f"{name}: {int(case.rows * scale)} x {case.width} {case.dtype}, {case.masks}")
        found, weights = {}, {}
        for method in METHODS if case.beside else ["rmplug"]:
            result = Path(folder) / f"{method}.npy"
            found[method] = measure(method, shards, result)
            weights[method] = np.load(result).astype(np.float64)
            told = found[method]
            print(f"  {method}: {told['seconds']:.1f} s of CPU, {told['megabytes']:.0f} MB")
        if case.beside:
            ratio = found["scikit-learn"]["seconds"] / found["rmplug"]["seconds"]
            ours, theirs = weights["rmplug"], weights["scikit-learn"]
            apart = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(ours, axis=1)
            print(f"  ratio: {ratio:.1f} times as fast; weights apart {apart.max():.1e}")


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description="multi-objective-ridge beside scikit-learn")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--folder", help="where the shards are written, for a while")
    given = parser.parse_args()
    for name in given.case or CASES:
        compare(name, given.scale, given.folder)


if __name__ == "__main__":
    main()
