"""`multi-objective-ridge` beside what else computes the same heads.

``numpy`` is what a careful user writes: a Gram matrix for each source, a Cholesky factor for each
strength; ``numpy-float32``, the strong opponent, is the same in float32, where strengths that
rounding makes impossible are left out; ``scikit-learn`` is a loop over attributes and strengths.

All read the same shards of states (safetensors, memory-mapped), hold out the same fifth of the
rows, try nine strengths for each of 19 attributes, and keep the best; in processes of their own, on
one thread. Seconds are of processor time, from the opened files to the weights, memory is the most
that the process held. The last column is the greatest distance between the two weights, relative.
The spectrum of the states falls by a factor of 30 with a few large directions, as that of a
language model does.

Measured on a busy machine, CPU seconds of rmplug and how many times more numpy-float32 and numpy
take, the middle of three runs in turns:

- ``sources`` at scale 0.5: 4.0 (1.17; 1.16 to 1.24; its weights are 1e-5 from ours) and (2.0; 1.99
  to 2.29; 2e-14).
- ``sources`` with fewer rows to learn from in a source than dimensions: at 0.25, 1,430 rows, 2.7
  (1.48; 1.44 to 1.58) and (2.6; 2.62 to 2.72; 3e-14); at 0.1, 570 rows, 0.6 (5.3; 4.5 to 6.6) and
  (10; 9 to 13; 2e-13). With about as many, at 0.35: 5.4 (0.78; 0.76 to 0.80) and (1.38; 3e-14);
  numpy-float32 rounds its matrices of the least strengths, and leaves out those without a factor.
- ``random-masks`` at 0.25: 10.5 (1.26; 1.26 to 1.28) and (2.4; 2.40 to 2.65; 5e-11).
- ``sources-bf16`` at 0.5, one run: 3.4 (1.16).

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
from collections.abc import Callable
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
            self.ids = pa.array(np.arange(len(self))).cast(pa.string())
            self._schema = self.read(0, 1).schema

        @property
        def schema(self) -> pa.Schema:
            return self._schema

        def stored(self, name: str) -> pa.ChunkedArray | None:
            return pa.chunked_array([self.ids]) if name == "id" else None

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
            table = pa.table({"id": self.ids[start:stop]})
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


def by_gram(precision: type) -> Callable[[Path], np.ndarray]:
    """What a careful user writes in NumPy: one Gram matrix for the attributes of a source, a
    Cholesky factor for each strength, all attributes at once."""

    def fit(folder: Path) -> np.ndarray:
        from scipy.linalg import cho_factor, cho_solve
        from sklearn.model_selection import train_test_split

        from rmplug_armorm.export._embeddings_file import open_set

        found = list(open_set(sorted(folder.glob("*.safetensors"))).batches(8192))
        states = np.concatenate([part["embeddings"] for part in found])
        labels = np.concatenate([part["labels"] for part in found])
        del found
        train, test = train_test_split(np.arange(len(states)), test_size=0.2, random_state=42)
        weights = np.empty((ATTRIBUTES, states.shape[1]))
        masks, source = np.unique(~np.isnan(labels), axis=1, return_inverse=True)
        for number, mask in enumerate(masks.T):
            own = np.flatnonzero(source == number)
            rows, held = train[mask[train]], test[mask[test]]
            x, y = states[rows].astype(precision), labels[np.ix_(rows, own)].astype(precision)
            # NumPy sees the symmetry of x.T @ x; its transpose is copied fast in LAPACK's order.
            gram, xy = (x.T @ x).T, x.T @ y
            path = []
            for alpha in ALPHAS:
                shifted = gram.copy(order="F")
                shifted[np.diag_indices_from(shifted)] += alpha
                try:
                    factor = cho_factor(shifted, overwrite_a=True, check_finite=False)
                    path.append(cho_solve(factor, xy))
                except np.linalg.LinAlgError:
                    path.append(np.full_like(xy, np.nan))
            x_held, y_held = states[held].astype(precision), labels[np.ix_(held, own)]
            errors = [((x_held @ w - y_held) ** 2).mean(axis=0) for w in path]
            best = np.nanargmin(errors, axis=0)
            weights[own] = [path[b][:, k] for k, b in enumerate(best)]
        return weights

    return fit


METHODS = {
    "rmplug": with_rmplug,
    "numpy": by_gram(np.float64),
    "numpy-float32": by_gram(np.float32),
    "scikit-learn": with_scikit_learn,
}


def work(method: str, folder: Path, result: Path) -> None:
    """In a process of its own: the weights to a file, seconds and memory to the standard output.
    What any method imports is imported before."""
    from scipy import linalg  # noqa: F401
    from sklearn import linear_model, model_selection  # noqa: F401

    from rmplug_armorm.heads._ridge import fit  # noqa: F401

    start, wall = time.process_time(), time.perf_counter()
    weights = METHODS[method](folder)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    np.save(result, weights)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "wall": wall, "megabytes": peak}))


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
        ours: tuple[float, np.ndarray] | None = None
        for method in METHODS if case.beside else ["rmplug"]:
            result = Path(folder) / f"{method}.npy"
            told = measure(method, shards, result)
            weights = np.load(result).astype(np.float64)
            line = f"  {method:13} {told['seconds']:6.1f} s of CPU ({told['wall']:.1f} s wall), "
            line += f"{told['megabytes']:.0f} MB"
            if ours is not None:
                apart = np.linalg.norm(weights - ours[1], axis=1)
                apart /= np.linalg.norm(ours[1], axis=1)
                line += f", {told['seconds'] / ours[0]:.2f} x, weights {apart.max():.0e} apart"
            print(line, flush=True)
            ours = ours or (told["seconds"], weights)


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description="multi-objective-ridge beside others")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--folder", help="where the shards are written, for a while")
    given = parser.parse_args()
    for name in given.case or CASES:
        compare(name, given.scale, given.folder)


if __name__ == "__main__":
    main()
