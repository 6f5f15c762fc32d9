"""Routing in a world where it is known which labels are good, with real proxies.

Pairs belong to topics; each topic has words of its own that make a response good or bad. The AI's
labels are wrong more often in some topics, the human's in others. Candidates choose human labels
by topic; an `ngram-head` is trained on each, and measured on pairs with the true labels. The
performance model learns which topics deserve a human; routes are compared with random ones of the
same size, seed by seed.

Run: python benchmarks/hybrid_truth.py [SEEDS [PAIRS [CANDIDATES]]]; by default 10 seeds, 800 pairs,
150 candidates.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Features, Fit, Pairs, Selection
from rmplug_hybrid import PerformanceModel, Route
from rmplug_tabular import NgramHead

TOPICS = 8
WORDS = 40
AI_WRONG = (0.45, 0.45, 0.40, 0.35, 0.05, 0.05, 0.05, 0.05)
HUMAN_WRONG = (0.05, 0.05, 0.05, 0.05, 0.15, 0.15, 0.30, 0.40)
BUDGETS = (0.25, 0.5, 0.75)
HEAD = NgramHead(words=(1, 1), characters=None, dimensions=2**12, l2=(0.01,), folds=2)


@dataclass(frozen=True)
class World:
    """Pairs with their topic, and which labels each source gets right."""

    topics: np.ndarray
    better: list[str]
    worse: list[str]
    human_right: np.ndarray
    ai_right: np.ndarray

    @property
    def members(self) -> np.ndarray:
        return np.eye(TOPICS)[self.topics]

    @property
    def ids(self) -> list[str]:
        return [f"p{row}" for row in range(len(self.topics))]

    def pairs(self, right: np.ndarray) -> Pairs:
        """The pairs with labels that are right where this says so."""
        sides = list(zip(self.better, self.worse, right.tolist(), strict=True))
        return Pairs(
            {
                "id": self.ids,
                "group": self.ids,
                "prompt": [f"topic {topic}" for topic in self.topics],
                "chosen": [better if ok else worse for better, worse, ok in sides],
                "rejected": [worse if ok else better for better, worse, ok in sides],
            }
        )

    def with_human(self, chosen: np.ndarray) -> Pairs:
        """The human labels of the chosen pairs, the AI's of all others."""
        bought = np.zeros(len(self.topics), dtype=bool)
        bought[chosen] = True
        return self.pairs(np.where(bought, self.human_right, self.ai_right))

    def membership(self) -> Features:
        columns = {f"topic::is={k}": self.members[:, k] for k in range(TOPICS)}
        return Features({"id": self.ids, **columns}, "membership")


def world(rows: int, seed: int) -> World:
    """Responses of twelve words; the better one has more of its topic's good words."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, TOPICS, rows)
    better, worse = ([_text(rng, topic, rate) for topic in topics] for rate in (0.65, 0.35))
    human, ai = (rng.random(rows) >= np.array(wrong)[topics] for wrong in (HUMAN_WRONG, AI_WRONG))
    return World(topics, better, worse, human, ai)


def _text(rng: np.random.Generator, topic: int, rate: float) -> str:
    kinds = np.where(rng.random(12) < rate, "good", "bad")
    return " ".join(
        f"{kind}{topic}x{word}"
        for kind, word in zip(kinds, rng.integers(0, WORDS, 12), strict=True)
    )


class Proxies:
    """Reward models trained on mixed labels, measured on pairs whose labels are all right."""

    def __init__(self, train: World, test: World) -> None:
        self.train = train
        every = np.ones(len(test.topics), dtype=bool)
        table = test.pairs(every).table
        self.sides = [
            pa.record_batch({"prompt": table["prompt"].combine_chunks(), "response": one})
            for one in (table[side].combine_chunks() for side in ("chosen", "rejected"))
        ]

    def accuracy(self, chosen: np.ndarray, seed: int = 0) -> float:
        with TemporaryDirectory() as folder:
            made = HEAD.train(self.train.with_human(chosen), seed=seed, directory=Path(folder))
            model = made.open()
            margin = model.score(self.sides[0]) - model.score(self.sides[1])
        return float(((np.sign(margin) + 1) / 2).mean())


def candidates(train: World, number: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Sets of human labels, each topic at a rate of its own."""
    rates = rng.random((number, TOPICS))
    return [np.flatnonzero(rng.random(len(train.topics)) < rate[train.topics]) for rate in rates]


def learned(
    train: World,
    tried: list[np.ndarray],
    results: list[float],
    seed: int,
    folder: Path,
    **params: Any,
) -> Fit:
    counts = np.array([train.members[chosen].sum(axis=0) for chosen in tried])
    columns: dict[str, Any] = {f"count.topic::is={k}": counts[:, k] for k in range(TOPICS)}
    columns["size"] = counts.sum(axis=1)
    ids = [f"c{row}" for row in range(len(tried))]
    data = Features({"id": ids, **columns, "accuracy": np.array(results)}, "candidates")
    step = PerformanceModel(column="accuracy", **params)
    return step.fit(data, None, seed=seed, directory=folder)


def places(routes: Selection, item: str) -> np.ndarray:
    named = routes.table.filter(pc.equal(routes["item"], item))["id"].to_pylist()
    return np.array([int(name[1:]) for name in named], dtype=np.int64)


def one_seed(seed: int, rows: int, number: int, **params: Any) -> dict[str, Any]:
    """What routes and random ones reach, and how well the performance model orders candidates."""
    train, test = world(rows, seed), world(1000, seed + 10_000)
    proxies, rng = Proxies(train, test), np.random.default_rng([seed, 1])
    tried = candidates(train, number, rng)
    results = [proxies.accuracy(chosen) for chosen in tried]
    with TemporaryDirectory() as folder:
        fit = learned(train, tried, results, seed, Path(folder), **params)
        routes = Route(budgets=BUDGETS, draws=3).sample(train.membership(), fit, seed=seed)
    found: dict[str, Any] = {"fit": fit}
    for budget in BUDGETS:
        share = f"{100 * budget:g} %"
        found[f"top-k {share}"] = proxies.accuracy(places(routes, f"top-k at {share}"))
        found[f"random {share}"] = [
            proxies.accuracy(places(routes, f"random at {share}{mark}"))
            for mark in ("", " (2)", " (3)")
        ]
    found["all human"] = proxies.accuracy(np.arange(rows))
    found["all AI"] = proxies.accuracy(np.empty(0, dtype=np.int64))
    return found


def spearman(fit: Fit, model: str) -> tuple[float, float, float]:
    row = next(n for n in fit.numbers if n["metric"] == "spearman" and n.get("model") == model)
    return row["value"], row["low"], row["high"]


def main() -> None:
    seeds, rows, number = (
        int(sys.argv[place]) if len(sys.argv) > place else default
        for place, default in ((1, 10), (2, 800), (3, 150))
    )
    print(f"{seeds} seeds, {rows} pairs, {number} candidates; python benchmarks/hybrid_truth.py")
    start = time.process_time()
    wins = dict.fromkeys(BUDGETS, 0)
    clear = 0
    for seed in range(seeds):
        found = one_seed(seed, rows, number)
        own, alone = (spearman(found["fit"], name) for name in ("ridge", "count-only"))
        clear += own[1] > alone[2]
        told = [f"all AI {found['all AI']:.3f}"]
        for budget in BUDGETS:
            share = f"{100 * budget:g} %"
            top, random = found[f"top-k {share}"], float(np.mean(found[f"random {share}"]))
            wins[budget] += top > random
            told.append(f"{share} {top:.3f} / {random:.3f}")
        told.append(f"all human {found['all human']:.3f}")
        print(
            f"seed {seed}: top-k / random: {', '.join(told)}; held-out Spearman "
            f"{own[0]:.2f} ({own[1]:.2f} to {own[2]:.2f}), count-only "
            f"{alone[0]:.2f} ({alone[1]:.2f} to {alone[2]:.2f})"
        )
    counted = ", ".join(f"{100 * b:g} %: {n} of {seeds}" for b, n in wins.items())
    print(f"top-k beats the mean of three random routes at {counted}")
    print(f"the Spearman intervals of model and count-only do not overlap in {clear} of {seeds}")
    print(f"{time.process_time() - start:.0f} s of CPU")


if __name__ == "__main__":
    main()
