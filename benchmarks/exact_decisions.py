"""Decisions of `exact-decisions` beside float32 alone and bfloat16 alone.

MiniLM and a 4-layer Llama of width 256, each with a head that is drawn from a seed, score pairs of
hh-rlhf through the query `reward`, one thread. Printed for each way: CPU seconds of the scoring
(models opened before), their ratio to those of float32, how many pairs are decided otherwise than
in float32, the largest difference of scores, and the share of pairs that was scored twice. Heads of
seeds have small margins for their errors: a trained one leaves fewer to be scored again.

Measured with AVX-512 BF16 and no AMX, 200 pairs, one run: MiniLM 1.65 times as fast in bfloat16
with 3 pairs decided otherwise, 1.44 times with `exact-decisions` and none, 12 % scored twice; Llama
1.50 times with 7, and 1.27 times with none, 14 % scored twice.

Run: ``python benchmarks/exact_decisions.py [--pairs 400]``. Texts: ``../shared/data``
(RMPLUG_SHARED_DATA), or those of the examples.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import transformers
from scoring_data import minilm_in, model_in, pairs_of

from rmplug import Pairs, RewardModel
from rmplug.checks import collect_checks
from rmplug.models.number_formats import slow_formats
from rmplug_hf import ExactDecisions, SequenceClassifier
from rmplug_text.queries import Reward


def ways_of(folder: Path) -> dict[str, RewardModel]:
    """Return the model in float32, in bfloat16, and as both decide together."""
    exact, fast = (
        SequenceClassifier(path=folder, dtype=dtype, device="cpu").load().open()
        for dtype in ("float32", "bfloat16")
    )
    both = ExactDecisions().load(exact, fast)
    return {"float32": exact, "bfloat16": fast, "exact-decisions": both}


def compare(name: str, folder: Path, pairs: Pairs) -> None:
    """Print what each way costs and how it decides."""
    found = {}
    for way, model in ways_of(folder).items():
        len(Reward(self_check=0).query(model, Pairs(pairs.table.slice(0, 4))).table)
        with collect_checks() as checks:
            start = time.process_time()
            table = Reward(self_check=0).query(model, pairs).table
            seconds = time.process_time() - start
        found[way] = [table[side].to_numpy() for side in ("chosen", "rejected")], seconds
        exact, base = found["float32"]
        scores = found[way][0]
        turned = np.sign(scores[0] - scores[1]) != np.sign(exact[0] - exact[1])
        off = max(np.abs(one - other).max() for one, other in zip(scores, exact, strict=True))
        again = sum(check.pairs for check in checks.values()) / len(pairs)
        print(
            f"{name:8}{way:17}{seconds:7.1f} s {base / seconds:6.2f} x  {turned.sum():4d} decided "
            f"otherwise  off by {off:.1e}  {again:5.1%} scored twice"
        )


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--pairs", type=int, default=400)
    options = given.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    if "bfloat16" in slow_formats():
        print("this processor is slow in bfloat16: nothing is gained here")
    texts = pairs_of("hh", options.pairs)
    columns = zip(*texts, strict=True)
    names = ("prompt", "chosen", "rejected")
    ids = [f"p{n}" for n in range(len(texts))]
    pairs = Pairs({"id": ids, **dict(zip(names, map(list, columns), strict=True))})
    with tempfile.TemporaryDirectory() as name:
        compare("minilm", minilm_in(Path(name)), pairs)
        compare("llama", model_in(Path(name), "llama"), pairs)


if __name__ == "__main__":
    main()
