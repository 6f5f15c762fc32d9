"""The kind `benchmark` beside the `rewardbench` package's own functions, on the same random scores.

Scores are rounded so that many tie. Version 1: 2,985 pairs in 23 subsets, and the sections.
Version 2: 1,763 choices among four, and 51 prompts of Ties in both kinds, with 2 to 30 right
responses. Prints how many figures are equal in per cent with six decimals, the largest difference,
and the seconds of processor time of both.

`rewardbench` (Apache-2.0) needs old versions of other libraries: install it with rmplug in an
environment of its own. Measured with 0.1.4.

Run: pip install rewardbench && python benchmarks/rewardbench_parity.py [SEEDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import rewardbench.constants as constants
from datasets import Dataset, disable_progress_bars
from rewardbench.utils import (
    calculate_scores_per_section,
    process_single_model,
    reroll_and_score_dataset,
)

from rmplug import Features, Pairs, Responses
from rmplug_bench import Benchmark

MATH_PRM = 447
SIZES = {"Factuality": 475, "Focus": 495, "Math": 183, "Precise IF": 160, "Safety": 450}
TIES = 51

Figures = dict[str, float]


@dataclass(frozen=True)
class Choice:
    """One prompt of version 2: its id, subset, number of right responses and scores."""

    id: str
    subset: str
    right: int
    scores: list[float]


def pairs_of_version_1() -> list[str]:
    """The subset of each of the 2,985 pairs."""
    counts = {**constants.EXAMPLE_COUNTS, "math-prm": MATH_PRM}
    return [subset for subset, count in counts.items() for _ in range(count)]


def theirs_1(subsets: list[str], scores: np.ndarray) -> Figures:
    """As `run_rm.py` does: each pair is right or not, then subsets, then sections."""
    results: dict[str, list[int]] = {}
    for subset, (chosen, rejected) in zip(subsets, scores.tolist(), strict=True):
        results.setdefault(subset, []).append(1 if chosen > rejected else 0)
    grouped = {subset: sum(found) / len(found) for subset, found in results.items()}
    counts, mapping = constants.EXAMPLE_COUNTS, constants.SUBSET_MAPPING
    return grouped | calculate_scores_per_section(counts, mapping, grouped)


def ours_1(subsets: list[str], scores: np.ndarray) -> Figures:
    ids = [f"p{place}" for place in range(len(subsets))]
    data = Pairs({"id": ids, "prompt": ids, "chosen": ids, "rejected": ids, "subset": subsets}, "d")
    reward = Features({"id": ids, "margin": scores[:, 0] - scores[:, 1]}, "model")
    return published(Benchmark(benchmark="rewardbench", resamples=100, baselines=()), data, reward)


def choices_of_version_2(rng: np.random.Generator) -> Iterator[Choice]:
    """Random scores with ties; more spread between right and wrong in Ties, so that all parts of
    its formula vary."""
    for subset, count in SIZES.items():
        for place in range(count):
            yield Choice(f"{subset}-{place}", subset, 1, rng.integers(0, 6, 4).tolist())
    for number in range(TIES):
        for kind, right in (("ref", 1), ("tied", int(rng.integers(2, 31)))):
            good = rng.integers(8, 11 + number % 4, right) / 4
            bad = rng.integers(0, 9, rng.integers(3, 12)) / 4
            yield Choice(f"{kind}:{number}", "Ties", right, [*good.tolist(), *bad.tolist()])


def theirs_2(choices: list[Choice]) -> Figures:
    """As `run_v2.py` does: one row per response, put together again, then subsets."""
    sizes = [len(choice.scores) for choice in choices]
    rows = [
        {"text": "", "scores": score, "subset": choice.subset, "id": choice.id}
        for choice in choices
        for score in choice.scores
    ]
    whole = reroll_and_score_dataset(Dataset.from_list(rows), sizes)
    whole = whole.add_column("num_correct", [choice.right for choice in choices])
    found: Figures = {}
    for subset in (*SIZES, "Ties"):
        places = [i for i, choice in enumerate(choices) if choice.subset == subset]
        part = whole.select(places)
        if subset == "Ties":
            found[subset] = float(process_single_model(part)[1])
        else:
            found[subset] = sum(part["results"]) / len(part["results"])
    return found | {"all": float(np.mean(list(found.values())))}


def ours_2(choices: list[Choice]) -> Figures:
    columns: dict[str, list[object]] = {name: [] for name in ("id", "case", "group", "subset")}
    kinds, labels, scores = [], [], []
    for choice in choices:
        kind, _, number = choice.id.partition(":")
        for place, score in enumerate(choice.scores):
            named = (f"{choice.id}/{place}", choice.id, number or choice.id, choice.subset)
            for column, one in zip(columns.values(), named, strict=True):
                column.append(one)
            kinds.append(kind if number else None)
            labels.append(int(place < choice.right))
            scores.append(score)
    texts = {"prompt": columns["case"], "response": columns["id"]}
    data = Responses({**columns, **texts, "label": labels, "kind": kinds}, "d")
    reward = Features({"id": columns["id"], "reward": np.asarray(scores, dtype=float)}, "model")
    return published(
        Benchmark(benchmark="rewardbench-2", resamples=100, baselines=()), data, reward
    )


def published(step: Benchmark, data: Pairs | Responses, reward: Features) -> Figures:
    """The figures by the published tool's rule."""
    rows = step.evaluate(data, [reward], seed=0).table.to_pylist()
    names = ("accuracy-published", "score-published")
    return {row["subset"]: row["value"] for row in rows if row["metric"] in names}


def printed(value: float) -> str:
    """As the leaderboard shows it, and further: per cent with six decimals."""
    return f"{100 * value:.6f}"


def compare(name: str, seeds: int) -> None:
    equal, count, largest, seconds = 0, 0, 0.0, [0.0, 0.0]
    subsets = pairs_of_version_1()
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        if name == "version 1":
            scores = np.round(rng.normal(size=(len(subsets), 2)), 1)
            calls = (lambda s=scores: theirs_1(subsets, s), lambda s=scores: ours_1(subsets, s))
        else:
            choices = list(choices_of_version_2(rng))
            calls = (lambda c=choices: theirs_2(c), lambda c=choices: ours_2(c))
        found: list[Figures] = []
        for place, call in enumerate(calls):
            start = time.process_time()
            found.append(call())
            seconds[place] += time.process_time() - start
        theirs, ours = found
        equal += sum(printed(value) == printed(ours[key]) for key, value in theirs.items())
        largest = max(largest, *(abs(value - ours[key]) for key, value in theirs.items()))
        count += len(theirs)
    print(
        f"{name}: {equal} of {count} figures equal in per cent with six decimals, largest "
        f"difference {largest:.1e}; seconds {seconds[0]:.2f} and, with intervals of 100 "
        f"resamples, {seconds[1]:.2f}"
    )


def main() -> None:
    disable_progress_bars()
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"python benchmarks/rewardbench_parity.py {seeds}")
    for name in ("version 1", "version 2"):
        compare(name, seeds)


if __name__ == "__main__":
    main()
