"""How fast `lexical` is on one core, beside the same measures in plain Python.

    python benchmarks/lexical.py

reads `../shared/data/hh_rlhf` (or the folder in RMPLUG_SHARED_DATA) when it is there, and made-up
text of similar length otherwise. The aim is 20,000 pairs per second and core for the cheap
measures. Time is CPU time of the process, the best of several rounds; `--rounds 1 --plain 100` is
quick. Plain Python means the definitions that the tests compare with, written to be read.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from rmplug import Pairs, text_of
from rmplug_text._phrases import OPENING, PHRASES
from rmplug_text.features import CHEAP, Lexical, Rouge

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))
SIDES = ("prompt", "chosen", "rejected")


def real_pairs(file):
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return Pairs({name: [row[name] for row in rows] for name in ("id", *SIDES)}, "hh_rlhf")


def made_up_pairs(rows=3000):
    rng = np.random.default_rng(0)
    words = np.array(
        [
            "I",
            "think",
            "the",
            "weather",
            "is",
            "nice,",
            "perhaps",
            "12",
            "of",
            "us",
            "can't",
            "help",
            "it.",
            "Why?",
        ]
    )
    texts = {
        name: [" ".join(rng.choice(words, rng.integers(5, longest))) for _ in range(rows)]
        for name, longest in zip(SIDES, (170, 80, 75), strict=True)
    }
    return Pairs({"id": [str(row) for row in range(rows)], **texts}, "made-up text")


def plain_definitions():
    file = ROOT / "tests/rmplug_text/plain_lexical.py"
    spec = importlib.util.spec_from_file_location("plain_lexical", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pairs_per_second(work, rows, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return rows / min(seconds)


def plainly(plain, pairs):
    for row in zip(*(text_of(pairs.table[side]).to_pylist() for side in SIDES), strict=True):
        for text in row:
            plain.measures(text, PHRASES, OPENING)
        for response in row[1:]:
            plain.overlap(response, row[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--plain", type=int, default=300, help="pairs for plain Python")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    file = SHARED / "hh_rlhf/pairs.jsonl.gz"
    pairs = real_pairs(file) if file.exists() else made_up_pairs()
    size = sum(len(text) for side in SIDES for text in text_of(pairs.table[side]).to_pylist())
    print(f"{pairs.name}: {len(pairs):,} pairs of {size / len(pairs):.0f} characters on average")

    def speed(step):
        step.compute(pairs.take(np.arange(8))).table  # noqa: B018 (tables are made once per process)
        return pairs_per_second(lambda: step.compute(pairs).table, len(pairs), options.rounds)

    cheap = speed(Lexical())
    few = pairs.take(np.arange(min(options.plain, len(pairs))))
    plain = plain_definitions()
    slow = pairs_per_second(lambda: plainly(plain, few), len(few), 1)
    print(f"lexical, the {len(CHEAP)} cheap measures: {cheap:10,.0f} pairs/s per core")
    print(
        f"the same in plain Python:      {slow:10,.0f} pairs/s per core ({cheap / slow:.0f} times)"
    )
    print(f"lexical, compression:          {speed(Lexical(measures=('compression',))):10,.0f}")
    print(f"rouge, all three:              {speed(Rouge()):10,.0f}")


if __name__ == "__main__":
    main()
