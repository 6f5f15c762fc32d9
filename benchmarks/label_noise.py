"""Measure `label-noise`: labels exchanged on purpose are found again, and their share is known.

    python benchmarks/label_noise.py [--seeds 20] [--pairs 1500] [--ngrams]

For 0, 10 and 20 % of exchanged labels, over seeds: pairs of the kind `synthetic` with strong effects,
whose labels follow sigmoid(u(A) - u(B)) exactly; lexical differences (and with `--ngrams` n-grams)
as features. Prints the mean estimate, in how many seeds its 95 % interval holds the share that was
exchanged, the mean AUC of the exchanged rows by `wrong`, and seconds of the processor.
"""  # noqa: E501

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from rmplug import Pairs
from rmplug.data.rows import Memory
from rmplug.data.sides import exchange_sides
from rmplug.stats.estimates import area_under_curve
from rmplug.testing import run_step
from rmplug_quality._metric_rows import numbers_of
from rmplug_quality._wrong_labels import estimate_share
from rmplug_quality.label_noise import LabelNoise
from rmplug_text.features import Lexical
from rmplug_text.loaders import Synthetic


def one(seed: int, count: int, share: float, ngrams: bool) -> tuple[float, bool, float]:
    """Return the estimate, whether its interval holds the share exchanged, and the AUC."""
    params = {"size": count, "length": 4.0, "markdown": 2.0, "flattery": -2.0, "noise": 0.0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = run_step(Synthetic.model_validate(params), {}, folder, seed=seed)
        turn = np.random.default_rng(seed).random(count) < share
        table = data.table.select(["id", "group", "prompt", "chosen", "rejected"])
        pairs = Pairs(Memory(exchange_sides(table, turn)), "pairs")
        lexical = Lexical.model_validate({"sides": ["difference"]})
        words = run_step(lexical, {"data": pairs}, folder)
        words.name = "words"
        step = LabelNoise.model_validate({"ngrams": ngrams})
        inputs = {"data": pairs, "features": [words]}
        made = run_step(step, inputs, folder, seed=seed).table
    groups = numbers_of(pairs["group"])
    found = estimate_share(made["support"].to_numpy(), groups)
    low, high = found.bounds
    area = area_under_curve(turn, made["wrong"].to_numpy()).value
    return found.share, bool(low <= turn.mean() <= high), area


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--ngrams", action="store_true")
    asked = parser.parse_args()
    for share in (0.0, 0.1, 0.2):
        begin = time.process_time()
        rows = [one(seed, asked.pairs, share, asked.ngrams) for seed in range(asked.seeds)]
        estimates, held, areas = (np.array(column) for column in zip(*rows, strict=True))
        print(f"{share:.0%} exchanged: estimate {estimates.mean():.3f} (sd {estimates.std():.3f}), "
              f"in the interval in {held.sum()} of {len(rows)} seeds, AUC {areas.mean():.3f}, "
              f"{(time.process_time() - begin) / len(rows):.1f} s each")  # fmt: skip


if __name__ == "__main__":
    main()
