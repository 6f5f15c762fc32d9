"""`ngram-head` beside a plain scikit-learn pipeline on the same n-grams, folds and strengths.

Seconds are of processor time, on one thread.

Run: python benchmarks/ngram_head.py [PAIRS.jsonl.gz]. By default the 2,744 pairs of hh_rlhf in
../shared/data beside the checkout.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegressionCV
from threadpoolctl import threadpool_limits

from rmplug import Pairs
from rmplug.stats.folds import deal_folds
from rmplug_tabular import NgramHead
from rmplug_tabular._ngram_counts import NgramRecipe, count_ngrams

DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data/hh_rlhf/pairs.jsonl.gz"


def read_pairs(file: Path) -> Pairs:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    columns = {name: [row[name] for row in rows] for name in ("id", "prompt", "chosen", "rejected")}
    return Pairs({**columns, "group": [row["meta"]["group"] for row in rows]})


def with_rmplug(pairs: Pairs, head: NgramHead) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        found = head.train(pairs, seed=0, directory=Path(folder)).numbers
    return {number["metric"]: number["value"] for number in found}


def with_scikit_learn(pairs: Pairs, head: NgramHead) -> dict[str, float]:
    """Differences and their negatives, LogisticRegressionCV without intercept."""
    table = pairs.table
    recipe = NgramRecipe(head.words, head.characters, False, head.dimensions, head.tf)
    sides = [count_ngrams(recipe, table["prompt"], table[s]) for s in ("chosen", "rejected")]
    differences = csr_matrix(sides[0] - sides[1])
    rows = differences.shape[0]
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    fold = np.tile(deal_folds(groups, head.folds, 0), 2)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(head.folds)]
    # The penalty is on sums over both copies of a pair: C = 1 / (2 * pairs * l2).
    strengths = [1 / (2 * rows * l2 * (1 - 1 / head.folds)) for l2 in head.l2]
    model = LogisticRegressionCV(
        Cs=strengths,
        cv=splits,
        fit_intercept=False,
        scoring="neg_log_loss",
        max_iter=1000,
        use_legacy_attributes=False,
    )
    model.fit(vstack([differences, -differences]), np.repeat([1, 0], rows))
    return {"log-loss": float(-np.asarray(model.scores_).mean(axis=0).max())}


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not file.exists():
        sys.exit(f"{file} is not there; give a file of pairs (JSON Lines, gzip)")
    pairs, head = read_pairs(file), NgramHead()
    print(f"{len(pairs)} pairs of {file.name}")
    seconds = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for run in (with_rmplug, with_scikit_learn):
            start = time.process_time()
            found = run(pairs, head)
            seconds[run.__name__] = time.process_time() - start
            numbers = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
            print(f"{run.__name__}: {seconds[run.__name__]:.1f} s of CPU; {numbers}")
    print(f"ratio: {seconds['with_scikit_learn'] / seconds['with_rmplug']:.1f} times as fast")


if __name__ == "__main__":
    main()
