"""Accuracy against labels on real pairs: what strategies of choosing them are worth.

Pairs of RMB (two fifths of its prompts) or UKPConvArg1 as states of MiniLM (each conversation
encoded once), a linear Bradley-Terry head as `linear-head` trains it. For each of five seeds half
of the prompts are held out to measure on (other ones for each seed), 100 pairs are drawn at random,
and each strategy buys 100 more at a time: at random; with the smallest margin; where five heads on
bootstrap samples of the prompts disagree most; k-centre on the states (the mean of both responses,
which does not tell the label); k-centre among the 500 smallest margins. Beside the curves stands
what all labels of the pool give, and choosing the longer response. Samplers and evaluator are those
of rmplug.

Run: ``python benchmarks/active_learning.py [rmb|convarg] [folder of the data] [store]``
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

import rmplug
from rmplug import Features, Metrics, Pairs, Selection, text_of
from rmplug.stats.folds import deal_folds
from rmplug.stats.metric_rows import number, wins
from rmplug_hf.heads._examples import StateExamples
from rmplug_hf.heads._linear_head import scales_of, search_strength
from rmplug_hf.heads._newton import Loss, Rows, minimise
from rmplug_hf.heads.heads import GRID
from rmplug_hybrid import LabelCurve
from rmplug_text.labelling import Diverse, Uncertain
from rmplug_text.samplers import Split

SEEDS, ROUNDS, BATCH, MEMBERS, SHORTLIST = 5, 8, 100, 5, 5
STRATEGIES = ("random", "margin", "disagreement", "k-centre", "margin and k-centre")
SHARES = {"rmb": 0.4}
"""The share of the prompts that is used, where all would take long to encode on a CPU."""
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Encoded:
    """Pairs with the states of their responses, shape (rows, width) each."""

    pairs: Pairs
    chosen: np.ndarray
    rejected: np.ndarray

    def take(self, rows: np.ndarray) -> Encoded:
        return Encoded(self.pairs.take(rows), self.chosen[rows], self.rejected[rows])

    @property
    def apart(self) -> np.ndarray:
        return (self.chosen - self.rejected).astype(np.float64)

    @property
    def places(self) -> Features:
        middle = (self.chosen + self.rejected) / 2
        flat = pa.FixedSizeListArray.from_arrays(middle.ravel(), middle.shape[1])
        return Features({"id": self.pairs["id"], "place": flat}, "places")

    @property
    def groups(self) -> np.ndarray:
        return np.unique(self.pairs["group"].to_numpy(), return_inverse=True)[1]


def encode(path: Path, share: float, store: Path) -> Encoded:
    """Encode the pairs of a share of the prompts once; a second run takes them from the store."""
    part = {"test": share, "part": "test"} if share < 1 else {"test": 1e-9, "part": "train"}
    steps = {
        "every": {"kind": "pairs-file", "params": {"path": str(path)}},
        "pairs": {"kind": "split", "inputs": "every", "params": part},
        "encoder": {"kind": "encoder", "params": {"name": "minilm"}},
        "states": {"kind": "hidden-state", "inputs": {"model": "encoder", "data": "pairs"}},
    }
    done = rmplug.run({"name": "states", "steps": steps}, store=store)
    pairs, states = done["pairs"], done["states"]
    assert isinstance(pairs, Pairs) and isinstance(states, Features)
    width = states.table["chosen"].type.list_size
    sides = (
        pa.concat_arrays(states.column(side).chunks).flatten().to_numpy().reshape(-1, width)
        for side in ("chosen", "rejected")
    )
    return Encoded(pairs, *sides)


def heads(rows: np.ndarray, groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Train a head as `linear-head` does (width,), and members on bootstrap samples of the prompts
    with the same penalty (width, members)."""
    groups = np.unique(groups, return_inverse=True)[1]
    count = int(groups.max()) + 1
    zeros, ones = np.zeros(len(rows)), np.ones(len(rows))
    centre = np.zeros(rows.shape[1])
    loss = Loss("logistic")
    examples = StateExamples(rows, zeros, ones, groups, loss, centre, 0.0, pa.table({}))
    scales = scales_of(rows, True)
    scaled = Rows(rows / scales)
    fold = deal_folds(groups, min(5, count), 0)
    search, weights = search_strength(scaled, examples, GRID, fold)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), MEMBERS)
    shares = drawn[:, groups].T / drawn[:, groups].sum(axis=1)
    start = np.zeros((rows.shape[1], MEMBERS))
    members = minimise(scaled, loss, zeros, shares, search.strength, start)
    return weights / scales, members / scales[:, None]


def reward(pool: Encoded, head: np.ndarray, members: np.ndarray) -> Features:
    """Return the margins of the pool, and those of each member."""
    each = {f"margin.member.{k}": pool.apart @ members[:, k] for k in range(MEMBERS)}
    return Features({"id": pool.pairs["id"], "margin": pool.apart @ head, **each}, "reward")


def choose(
    strategy: str, pool: Encoded, scores: Features, places: Features, chosen: Selection, seed: int
) -> Selection:
    """Choose the next labels by the samplers of rmplug."""
    if strategy == "k-centre":
        return Diverse(n=BATCH).sample(pool.pairs, [places], None, chosen)
    if strategy == "margin and k-centre":
        unsure = Uncertain(n=SHORTLIST * BATCH).sample(pool.pairs, scores, chosen, seed=seed)
        return Diverse(n=BATCH).sample(pool.pairs, [places], unsure, chosen)
    by = Uncertain(by=strategy, n=BATCH)  # type: ignore[arg-type]
    return by.sample(pool.pairs, scores, chosen, seed=seed)


def rounds(
    strategy: str, pool: Encoded, test: Encoded, seed: int
) -> Iterator[tuple[int, float, Selection]]:
    """Yield each round's number, its accuracy on the held-out prompts, and what it has chosen."""
    chosen = Uncertain(by="random", n=BATCH).sample(pool.pairs, seed=seed)
    places, rows_of = pool.places, {n: k for k, n in enumerate(pool.pairs["id"].to_pylist())}
    for index in range(1, ROUNDS + 1):
        rows = np.array([rows_of[name] for name in chosen["id"].to_pylist()])
        head, members = heads(pool.apart[rows], pool.groups[rows], seed)
        accuracy = float(wins(test.apart @ head).mean())
        scores = reward(pool, head, members)
        chosen = choose(strategy, pool, scores, places, chosen, 1000 * seed + index)
        yield index, accuracy, chosen


def measure(encoded: Encoded) -> tuple[Metrics, Selection, np.ndarray]:
    """Return the results of all rounds, what was chosen in them, and for each seed the accuracy
    with all labels of the pool, and that of the longer response."""
    results, selections, ends = [], [], []
    ids = {name: row for row, name in enumerate(encoded.pairs["id"].to_pylist())}
    for seed in range(1, SEEDS + 1):
        parts = [
            encoded.take(np.array([ids[n] for n in part["id"].to_pylist()]))
            for part in (
                Split(test=0.5, seed=seed, part=side).sample(encoded.pairs)
                for side in ("train", "test")
            )
        ]
        pool, test = parts
        head, _ = heads(pool.apart, pool.groups, seed)
        ends.append([wins(test.apart @ head).mean(), longer(test.pairs)])
        for strategy in STRATEGIES:
            for index, accuracy, chosen in rounds(strategy, pool, test, seed):
                place = {"round": str(index), "item": strategy, "outer_item": str(seed)}
                results.append({**number("accuracy", accuracy, len(test.pairs)), **place})
                columns = {n: pa.repeat(value, len(chosen)) for n, value in place.items()}
                selections.append(pa.table({"new": chosen["new"], "id": chosen["id"], **columns}))
    table = pa.Table.from_pylist(results)
    return Metrics(table, "results"), Selection(pa.concat_tables(selections)), np.array(ends)


def longer(pairs: Pairs) -> float:
    sides = (text_of(pairs[side]).to_pylist() for side in ("chosen", "rejected"))
    return float(np.mean([np.sign(len(c) - len(r)) / 2 + 0.5 for c, r in zip(*sides, strict=True)]))


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "rmb"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else DATA
    store = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(".rmplug")
    encoded = encode(folder / name / "pairs.jsonl.gz", SHARES.get(name, 1), store)
    print(f"{name}: {len(encoded.pairs):,} pairs of {encoded.groups.max() + 1:,} prompts")
    start = time.monotonic()
    results, chosen, ends = measure(encoded)
    print(f"{SEEDS} seeds, {time.monotonic() - start:.0f} s")
    rows = LabelCurve().evaluate(results, chosen).table.to_pylist()
    for strategy in STRATEGIES:
        print(f"\n{strategy}")
        for row in rows:
            if row["metric"] == "accuracy" and row["model"] == strategy:
                span = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
                print(f"  {row['at']:5.0f} labels  {100 * row['value']:.1f} %  ({span})")
    mean, spread = 100 * ends.mean(axis=0), 100 * ends.std(axis=0, ddof=1)
    print(f"\nall labels of the pool {mean[0]:.1f} % (deviation over seeds {spread[0]:.1f})")
    print(f"choosing the longer response {mean[1]:.1f} % ({spread[1]:.1f})\n")
    print(*(row["sentence"] for row in rows if row["sentence"]), sep="\n")


if __name__ == "__main__":
    main()
