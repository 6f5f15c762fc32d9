"""Count how often `parity` names the fault that was planted in a loop.

Tiny real models (random weights) of four architectures and several seeds; for each fault that
changes the scores of an architecture a plain loop with transformers scores pairs of random words,
and a certificate is made of its scores. A fault counts as named where the sentence names it among
all that explain the difference; how many settings it names is printed too: several may come to the
same (an end that is missing, and a head that takes the end for padding). Without a fault nothing
may be found. Seconds are CPU seconds of a certificate.

Run: ``python benchmarks/parity.py [--seeds 3] [--pairs 24]``
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "rmplug_hf"))

from planted_faults import FAULTS, NAMED, faulty_scores, planted_pairs

from rmplug.testing.tiny_models import tiny_model
from rmplug_hf import Parity, SequenceClassifier

Outcome = tuple[bool, int, float]


def one(fault: str, folder: Path, model: SequenceClassifier, pairs: int, seed: int) -> Outcome:
    """Return whether the fault was named, how many settings were, and the CPU seconds."""
    data = planted_pairs(pairs, seed)
    recorded = faulty_scores(fault, folder, data)
    started = time.process_time()
    step = Parity(rows=pairs)
    rows = step.evaluate(model.load(), recorded, data, seed=seed).table.to_pylist()
    seconds = time.process_time() - started
    told = [row["sentence"] for row in rows if row["sentence"]]
    if fault == "none":
        return "are the same up to rounding" in told[0], 0, seconds
    named = NAMED[fault] in told[1] and not told[1].startswith("Nothing")
    count = told[1].count(", ") + 1 if " each explain " in told[1] else 1
    return named, count, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=24)
    given = parser.parse_args()
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        for seed in range(given.seeds):
            for fault, architectures in FAULTS.items():
                for architecture in architectures:
                    folder = tiny_model(architecture, Path(name), seed=seed)
                    model = SequenceClassifier(path=folder, device="cpu")
                    outcomes[fault].append(one(fault, folder, model, given.pairs, seed))
                found = outcomes[fault]
                good = sum(named for named, _, _ in found)
                print(f"seed {seed}: {fault}: {good} of {len(found)}", file=sys.stderr)
    print("fault                   named     settings named   CPU s")
    planted: list[bool] = []
    for fault, found in outcomes.items():
        named = [one for one, _, _ in found]
        counts, seconds = (sum(each[at] for each in found) / len(found) for at in (1, 2))
        print(f"{fault:22} {sum(named):3} of {len(found):3} {counts:13.1f} {seconds:12.1f}")
        planted += named if fault != "none" else []
    share = sum(planted) / len(planted)
    print(f"all faults: {sum(planted)} of {len(planted)} named, {share:.0%} (at least 90 % wanted)")


if __name__ == "__main__":
    main()
