"""Measure `leakage`: 1,000,000 pairs against a benchmark of 40,000, and datasketch on a part.

    python benchmarks/leakage.py [--pairs 1000000] [--references 40000] [--part 5000] [--workers 2]

Texts are of random words with frequencies as in a language (Zipf), prompts of 20 to 120 words,
responses of 30 to 150; every hundredth prompt is copied from the benchmark, every second of those
with some words changed. Prints seconds (of the clock, and of processors), the peak memory of the largest
process, and how many of the copies were found. The comparison is what a user writes with datasketch (pip install
datasketch): MinHashLSH of 128 permutations on sets of three-word shingles, one `query` per prompt,
and a set of 13-grams; on the first `--part` pairs.
"""  # noqa: E501

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rmplug import run
from rmplug.data.messages import text_of

WORDS = 60_000


def texts(rng: np.random.Generator, count: int, low: int, high: int, words: pa.Array) -> pa.Array:
    sizes = rng.integers(low, high, count)
    picks = np.minimum((rng.pareto(0.9, sizes.sum()) * 8).astype(np.int64), WORDS - 1)
    lists = pa.ListArray.from_arrays(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), words.take(pa.array(picks))
    )
    return pc.binary_join(lists, " ")


def write(folder: Path, pairs: int, references: int) -> int:
    """Write both data sets; return the number of prompts that were copied."""
    rng = np.random.default_rng(7)
    words = pa.array([f"w{number:x}" for number in range(WORDS)])
    bench = texts(rng, references, 20, 120, words)
    table(bench, rng, words, folder / "bench.parquet", "b")
    known = bench.to_pylist()
    planted, writer = 0, None
    for start in range(0, pairs, 50_000):
        count = min(50_000, pairs - start)
        prompts = texts(rng, count, 20, 120, words).to_pylist()
        for row in range(0, count, 100):
            copied = known[int(rng.integers(references))].split()
            if row % 200:
                copied[int(rng.integers(len(copied)))] = "changed"
            prompts[row] = " ".join(copied)
            planted += 1
        made = rows(pa.array(prompts), rng, words, f"p{start}-")
        writer = writer or pq.ParquetWriter(folder / "pairs.parquet", made.schema)
        writer.write_table(made)
    writer.close()
    return planted


def rows(prompts: pa.Array, rng: np.random.Generator, words: pa.Array, name: str) -> pa.Table:
    sides = [texts(rng, len(prompts), 30, 150, words) for _ in range(2)]
    ids = [f"{name}{number}" for number in range(len(prompts))]
    return pa.table({"id": ids, "prompt": prompts, "chosen": sides[0], "rejected": sides[1]})


def table(prompts: pa.Array, rng: np.random.Generator, words: pa.Array, file: Path, name: str):
    pq.write_table(rows(prompts, rng, words, name), file)


def spec(folder: Path, workers: int, sides: list[str]) -> dict:
    load = {"kind": "pairs-file"}
    inputs = {"data": "pairs", "references": ["bench"]}
    return {
        "name": "leakage",
        "engine": {"kind": "local", "params": {"workers": workers}},
        "steps": {
            "pairs": {**load, "params": {"path": str(folder / "pairs.parquet")}},
            "bench": {**load, "params": {"path": str(folder / "bench.parquet")}},
            "leaks": {"kind": "leakage", "inputs": inputs, "params": {"sides": sides}},
        },
    }


def processor() -> float:
    """Return the seconds that this process and its ended workers have used of processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def with_datasketch(pairs: pa.Table, bench: pa.Table) -> tuple[float, float, int]:
    """Return the processor's seconds for the index and for the queries, and the prompts found."""
    from datasketch import MinHash, MinHashLSH

    def shingles(text: str, size: int) -> set[str]:
        run = text.lower().split()
        return {" ".join(run[start : start + size]) for start in range(len(run) - size + 1)}

    def sketch(text: str) -> MinHash:
        made = MinHash(num_perm=128)
        made.update_batch([one.encode() for one in shingles(text, 3)])
        return made

    begin = time.process_time()
    index, ngrams = MinHashLSH(threshold=0.8, num_perm=128), set()
    for number, text in enumerate(bench):
        index.insert(number, sketch(text))
        ngrams |= shingles(text, 13)
    middle = time.process_time()
    found = 0
    for text in pairs:
        own = shingles(text, 13)
        share = len(own & ngrams) / max(1, len(own))
        found += bool(index.query(sketch(text))) or share >= 0.5
    return middle - begin, time.process_time() - middle, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--references", type=int, default=40_000)
    parser.add_argument("--part", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sides", nargs="+", default=["prompt"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = write(folder, asked.pairs, asked.references)
        wanted = spec(folder, asked.workers, asked.sides)
        run(wanted, store=folder / "store", only=["pairs", "bench"])
        before = processor()
        made = run(wanted, store=folder / "store")
        used = processor() - before
        step = made.record.steps["leaks"]
        leaked = int(np.sum(made["leaks"].table["leaked"].to_numpy()))
        print(f"leakage {asked.sides}: {asked.pairs:,} pairs against {asked.references:,} in "
              f"{step.seconds:.0f} s ({asked.pairs / step.seconds:,.0f} a second, "
              f"{asked.workers} workers; {used:.0f} s of processors), "
              f"peak {step.peak_memory_mb:.0f} MB in a process, "
              f"{leaked:,} found, {planted:,} planted")  # fmt: skip
        part = text_of(made["pairs"].rows.read(0, asked.part)["prompt"]).to_pylist()
        bench = text_of(made["bench"].table["prompt"]).to_pylist()
    try:
        index, queries, found = with_datasketch(part, bench)
    except ImportError:
        print("datasketch is not installed; no comparison")
        return
    print(f"datasketch (prompts): index of {len(bench):,} in {index:.0f} s of the processor, "
          f"{len(part):,} prompts in {queries:.1f} s "
          f"({len(part) / queries:,.0f} a second), {found:,} found")  # fmt: skip


if __name__ == "__main__":
    main()
