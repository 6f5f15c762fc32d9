"""Scores of real preferences as whole processes, side by side: the ``rewardbench`` package, a bare
loop of transformers over texts sorted by length, and rmplug, from Python and by ``rmplug run``:
in float32 and, where the processor is fast in it, in bfloat16 alone and in both together
(``run-decisions``, by ``exact-decisions``).

Seconds are of processor time of the process and its children, one thread, float32 where nothing
else is said; wall time stands beside them. Texts longer than the model reads are left out, since
the ways cut them differently. Differences are those from scores without padding, one text at a
time. The ceiling is what the distinct texts cost at the best batch without padding; it is compared
with rmplug's seconds less those that it takes for two pairs (imports, opening), which may be fewer:
the last layer is computed of the tokens alone that the head reads. The floor is what the matrix
products alone that a score needs would cost at the best rate that a product of 1024 by 1024 numbers
reaches here: no float32 forward is faster.

Run: ``python benchmarks/scoring.py [--pairs 200] [--cases hh,grid,lists] [--models minilm,llama]
[--rewardbench PYTHON]``. Texts: ``../shared/data`` (RMPLUG_SHARED_DATA).

Without ``--rewardbench`` its pipeline is restated (``package-N`` in scoring_ways.py): texts in the
order of the file, N at a time, padded on the left. With it, the Python of an environment of its own
(``python3.11 -m venv E; E/bin/pip install rewardbench==0.1.4``) runs the package itself, by
scoring_package.py, which has it work without a GPU.
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

import numpy as np
import transformers
from scoring_data import minilm_in, model_in, pairs_of

from rmplug.models.number_formats import slow_formats

HERE = Path(__file__).resolve().parent


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--pairs", type=int, default=200)
    given.add_argument("--cases", default="hh,grid,lists")
    given.add_argument("--models", default="minilm,llama")
    given.add_argument("--batches", default="8,64,1")
    given.add_argument("--bare", default="8,16,32")
    given.add_argument("--rewardbench", type=Path)
    options = given.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        for model in options.models.split(","):
            folder = minilm_in(Path(name)) if model == "minilm" else model_in(Path(name), model)
            length = 512 if model == "minilm" else 1024
            for case in options.cases.split(","):
                job = write_job(Path(name, f"{model}-{case}"), folder, length, case, options.pairs)
                compare(f"{model} {case}", job, options)


def write_job(job: Path, model: Path, length: int, case: str, pairs: int) -> Path:
    """Write the pairs of a case that the model reads whole."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = []
    for number, (prompt, chosen, rejected) in enumerate(pairs_of(case, pairs)):
        lengths = map(len, tokenizer([f"{prompt}\n\n{r}" for r in (chosen, rejected)])["input_ids"])
        if max(lengths) <= length:
            row = {"id": str(number), "prompt": prompt, "chosen": chosen, "rejected": rejected}
            rows.append(row)
    for place, part in ((job, rows), (job / "few", rows[:2])):
        place.mkdir(parents=True)
        (place / "job.json").write_text(json.dumps({"model": str(model), "length": length}))
        lines = [json.dumps(row) for row in part]
        (place / "pairs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return job


def compare(name: str, job: Path, options: argparse.Namespace) -> None:
    """Print the seconds of each way, their ratio to those of ``rmplug run``, and how far scores are
    from those of one text at a time."""
    package = [f"package-{size}" for size in options.batches.split(",")]
    bare = [f"bare-{size}" for size in options.bare.split(",")]
    measured = {way: timed(way, job, options.rewardbench) for way in (*package, *bare)}
    fast = [] if "bfloat16" in slow_formats() else ["run-bfloat16", "run-decisions"]
    measured |= {way: timed(way, job, None) for way in ("python", "run", *fast)}
    timed("reference", job, None)
    exact = np.load(job / "reference.npy")
    ours = measured["run"][0]
    count = len(exact) // 2
    print(f"{name}: {count} pairs that the model reads whole")
    for way, (seconds, wall) in measured.items():
        scores = np.load(job / f"{way}.npy")
        flipped = np.sign(scores[:count] - scores[count:]) != np.sign(exact[:count] - exact[count:])
        print(
            f"  {way:<13} {seconds:7.1f} CPU s ({wall:.1f} wall), {seconds / ours:.2f} times run; "
            f"scores {np.abs(scores - exact).max():.1e} away (sd {exact.std():.2g}), "
            f"{int(flipped.sum())} decisions differ"
        )
    timed("cost", job, None)
    tokens, each, needed, least, rate = np.load(job / "cost.npy")
    start = timed("run", job / "few", None)[0]
    print(
        f"  ceiling: {int(tokens)} tokens of distinct texts at {1e6 * each:.1f} µs are "
        f"{tokens * each:.1f} CPU s; run less its start ({start:.1f}) is {ours - start:.1f}: "
        f"{tokens * each / (ours - start):.0%}\n"
        f"  floor: the matrix products of {int(needed)} tokens, shared prompts once, are "
        f"{needed * least:.1f} CPU s at the best rate of this machine ({rate / 1e9:.0f} GFLOPS)",
        flush=True,
    )


def timed(way: str, job: Path, package: Path | None) -> tuple[float, float]:
    """Run a way as a process; return its seconds of processor time, with children, and wall."""
    here = package is None or not way.startswith("package")
    file = "scoring_ways.py" if here else "scoring_package.py"
    command = [sys.executable if here else str(package), str(HERE / file), way, str(job)]
    # torch, numpy and tokenizers each have threads of their own
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **one}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{way} failed: {' '.join(command)}")
    return used.ru_utime + used.ru_stime, time.monotonic() - started


if __name__ == "__main__":
    main()
