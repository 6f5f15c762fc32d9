"""Probes of hidden states: how fast, beside scikit-learn, and what layers of MiniLM know.

``speed``: 20,000 states of 384 numbers, a number and a class, each with its labels shuffled: nested
cross-validation by group (five folds, nine strengths) beside scikit-learn's ``RidgeCV`` and
``LogisticRegressionCV`` with the same folds and strengths inside each of five held-out folds.
``layers``: pairs of `hh_rlhf` (harmless and helpful), half of the prompts to learn from: which
layer knows the length of the response and the subset, and what a `linear-head` loses on the other
half when length is taken out of its states.

Run: python benchmarks/directions.py speed [WIDTH] | layers [--data ../shared/data] [--pairs 1000].
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Features, Fit, Pairs
from rmplug.data.messages import count_characters
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.stats.estimates import mean, spearman
from rmplug.stats.folds import deal_folds
from rmplug.stats.metric_rows import wins
from rmplug_hf.directions._probe_fits import Scaled, fit_probes
from rmplug_hf.directions._targets import Target
from rmplug_hf.directions.probing import GRID, Probe

ROWS, GROUPS, FOLDS = 20_000, 10_000, 5
SIDES = ("chosen", "rejected")
LENGTH, SUBSET = "words.characters", "subset"
Array = np.ndarray[Any, np.dtype[Any]]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def speed(width: int) -> None:
    """Print CPU seconds and held-out numbers of both."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, GROUPS, ROWS)
    states = rng.normal(size=(ROWS, width)) @ rng.normal(size=(width, width)) / width**0.5
    number = states @ rng.normal(size=width) + rng.normal(size=ROWS) * width**0.5
    of_class = (number + rng.logistic(size=ROWS) > 0).astype(float)
    fold = deal_folds(np.unique(groups, return_inverse=True)[1], FOLDS, 0)
    shuffled = rng.permutation(ROWS)
    targets = [Target("number", number), Target("number", number[shuffled]),
               Target("class", of_class, ("0", "1")),
               Target("class", of_class[shuffled], ("0", "1"))]  # fmt: skip
    fits, ours = timed(lambda: fit_probes(Scaled.of(states), targets, fold, GRID))
    r2 = 1 - np.mean((fits[0].scores[:, 0] - number) ** 2) / number.var()
    accuracy = np.mean((fits[2].scores[:, 0] > 0) == of_class)
    print(f"rmplug: {ours:.1f} s CPU, R² {r2:.4f}, accuracy {accuracy:.4f}")
    rows = Scaled.of(states).rows
    (theirs, right), ridge, logistic = sklearn_fits(rows, targets, fold)
    print(f"scikit-learn: ridge {ridge:.1f} s, logistic {logistic:.1f} s CPU, R² {theirs:.4f}, "
          f"accuracy {right:.4f}; {(ridge + logistic) / ours:.1f} times ours")  # fmt: skip


def sklearn_fits(
    rows: Array, targets: list[Target], fold: Array
) -> tuple[tuple[float, float], float, float]:
    """Nested cross-validation with the library's own classes; seconds of both sorts."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV

    seconds, held_out = {}, {}
    for index, target in enumerate(targets):
        scores = np.empty(ROWS)
        start = time.process_time()
        for k in range(FOLDS):
            kept = fold != k
            inner = [(np.flatnonzero(fold[kept] != j), np.flatnonzero(fold[kept] == j))
                     for j in range(FOLDS) if j != k]  # fmt: skip
            n = kept.sum() * (FOLDS - 2) / (FOLDS - 1)
            if target.classes:
                model = LogisticRegressionCV(Cs=[4 / (s * n) for s in GRID], cv=inner,
                                             scoring="neg_log_loss", max_iter=1000)  # fmt: skip
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model.fit(rows[kept], target.values[kept])
                scores[~kept] = model.decision_function(rows[~kept])
            else:
                ridge = RidgeCV(alphas=[s * n for s in GRID], cv=inner)
                scores[~kept] = ridge.fit(rows[kept], target.values[kept]).predict(rows[~kept])
        seconds[index], held_out[index] = time.process_time() - start, scores
    number, of_class = targets[0].values, targets[2].values
    r2 = 1 - float(np.mean((held_out[0] - number) ** 2) / number.var())
    right = float(np.mean((held_out[2] > 0) == of_class))
    return (r2, right), seconds[0] + seconds[1], seconds[2] + seconds[3]


def layers(data: Path, pairs: int) -> None:
    """Print what each layer knows, and a head's accuracy before and after."""
    from rmplug_hf import LinearHead, Projected
    from rmplug_hf.loading.encoders import Encoder

    encoder = Encoder(name="minilm", device="cpu", max_length=64).load()
    table = drawn(data, pairs)
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    half = deal_folds(groups, 2, 0)
    states, seconds = timed(lambda: states_by_layer(encoder, table))
    print(f"{2 * len(table)} conversations in {seconds:.0f} s CPU")
    train, test = (np.flatnonzero(half == part) for part in (0, 1))
    learnt = table.take(train)
    at = np.concatenate([train, train + len(table)])
    given = Features({"id": learnt["id"], "group": learnt["group"],
                      **columns(states[:, at], len(train))}, "states")  # fmt: skip
    lengths = np.concatenate([count_characters(table[side].combine_chunks()) for side in SIDES])
    words = Features({"id": learnt["id"], **{f"{side}.characters": lengths[at][part].astype(float)
                      for side, part in halves(len(train)).items()}}, "words")  # fmt: skip
    fit = Probe(labels=SUBSET).fit([given], [words], learnt, seed=0,
                                   directory=Path(mkdtemp()), plan=None)  # fmt: skip
    for row in fit.numbers:
        if row["metric"] in ("r2", "accuracy", "auc", "accuracy-of-majority"):
            print(f"layer {row['layer']} {row['subset']:>16} {row.get('model') or 'probe':>15} "
                  f"{row['metric']:>20} {shown(row)} (n {row['n']})")  # fmt: skip
    last = states[-1]
    own = Features({"id": learnt["id"], **{side: vectors(last[at][part])
                    for side, part in halves(len(train)).items()}}, "own")  # fmt: skip
    head = LinearHead().train(encoder, learnt, own, seed=0, directory=Path(mkdtemp())).open()
    place = f"states.layer-{len(states) - 1}"
    models = {"before": head}
    for form in ("orthogonal", "oblique"):
        step = Projected(place=place, targets=LENGTH, projection=form)
        models[form] = step.load(head, Fit(fit.directory, Probe))
    report_heads(models, last, lengths, test, groups)


def drawn(data: Path, pairs: int) -> Pairs:
    """Draw pairs at random from the file."""
    from rmplug_text.loaders import PairsFile

    whole = PairsFile(path=data / "hh_rlhf/pairs.jsonl.gz").load()
    table = pa.Table.from_batches(list(whole.batches()))
    rows = np.random.default_rng(0).permutation(table.num_rows)[:pairs]
    return Pairs(table.take(pa.array(np.sort(rows))), "pairs")


def states_by_layer(encoder: Any, table: Pairs) -> Array:
    """Mean states (layers, 2 n, width) of every layer, chosen then rejected, from one pass."""
    import torch

    from rmplug_hf.loading._transformer import pooled

    def forward(batch: Any) -> Any:
        body = encoder.loaded.model.base_model
        hidden = body(**batch.arguments(), output_hidden_states=True).hidden_states
        return torch.stack([pooled(one, batch, "mean") for one in hidden], dim=1)

    batch = one_batch(table.table)
    parts = [encoder.run(encoder.loaded.tokenizing.rows(side_of(batch, side)), forward)
             for side in SIDES]  # fmt: skip
    return np.concatenate(parts).transpose(1, 0, 2)


def halves(count: int) -> dict[str, slice]:
    return {"chosen": slice(0, count), "rejected": slice(count, None)}


def vectors(rows: Array) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def columns(states: Array, count: int) -> dict[str, pa.Array]:
    return {f"{side}.layer-{k}": vectors(layer[part])
            for k, layer in enumerate(states) for side, part in halves(count).items()}  # fmt: skip


def report_heads(
    models: dict[str, Any], last: Array, lengths: Array, test: Array, groups: Array
) -> None:
    """Print accuracy on pairs held out, the margin's rank correlation with length, and changes."""
    count = len(last) // 2
    gap = (lengths[:count] - lengths[count:])[test].astype(float)
    right = {"longer": wins(gap)}
    for name, model in models.items():
        rewards = last.astype(float) @ model.weight
        margin = (rewards[:count] - rewards[count:])[test]
        right[name] = wins(margin)
        ranks = spearman(margin, gap)
        low, high = ranks.interval(groups[test])
        print(f"{name:>10}: margin with length gap {ranks.value:.3f} [{low:.3f}, {high:.3f}]")
    for name, won in right.items():
        share, over = mean(won, "share"), mean(won - right["before"])
        low, high = share.interval(groups[test])
        ends = over.interval(groups[test])
        print(f"{name:>10}: accuracy {share.value:.3f} [{low:.3f}, {high:.3f}], against before "
              f"{over.value:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}] (n {len(won)})")  # fmt: skip


def shown(row: dict[str, Any]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "layers"])
    parser.add_argument("width", nargs="?", type=int, default=384)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.width)
    else:
        layers(given.data, given.pairs)


if __name__ == "__main__":
    main()
