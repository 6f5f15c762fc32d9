"""How often 95 % intervals hold the true accuracy, and how often tests of equal models are wrong.

Two models with known accuracies are simulated: whether each is right on a pair depends on the
prompt (in part alike for both models, in part not), on the pair, and on chance. The intervals of
``compare`` (Wilson's with the variance of the bootstrap over prompts; expanded percentiles for
differences) stand beside plain percentiles and beside pairs drawn one by one as if each were a
prompt; its test (signs of prompts' differences) beside McNemar's and a z-test. The last table
simulates models that differ by the minimum detectable difference: 80 % should be found.

Run: ``python benchmarks/coverage.py`` (about four minutes; ``--simulations 200`` for a look)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.intervals import Bounds, share_interval
from rmplug_bench.comparison._compare import Part, _part
from rmplug_bench.comparison._judged import Judged
from rmplug_bench.comparison._paired import by_group, detectable, mcnemar_p, sign_flip_p
from rmplug_bench.rules._models import ScoredModel

RESAMPLES = 2_000
OF_PROMPT, OF_MODEL, OF_PAIR = 0.2, 0.2, 0.25
"""Shares of the latent variance: of a prompt's pairs for both models, of a prompt's pairs for each
model by itself, and of a pair for both models."""
SETTINGS = [(prompts, most) for prompts in (50, 200) for most in (1, 8)]
ACCURACIES = (0.6, 0.8, 0.9)


def simulated(prompts: int, most: int, truth: tuple[float, float], seed: list[int]) -> Part:
    """Both models on 1 to ``most`` pairs of each prompt, through the evaluator's own code."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(prompts), rng.integers(1, most + 1, prompts))
    shared = np.sqrt(OF_PROMPT) * rng.normal(size=prompts)[groups]
    shared += np.sqrt(OF_PAIR) * rng.normal(size=len(groups))
    alone = np.sqrt(OF_MODEL) * rng.normal(size=(prompts, 2))[groups]
    alone += np.sqrt(1 - OF_PROMPT - OF_MODEL - OF_PAIR) * rng.normal(size=alone.shape)
    limits = [NormalDist().inv_cdf(accuracy) for accuracy in truth]
    right = (shared[:, None] + alone < limits).astype(np.float64)
    judges = tuple(ScoredModel(name, "model", np.empty(0)) for name in "AB")
    found = Judged(judges, right, groups, (None,) * len(groups), "pairs")
    return _part(found, "all", np.ones(len(groups), bool), RESAMPLES, seed)


Ways = dict[str, Callable[[Part], Bounds]]


def plain(draws: np.ndarray) -> Bounds:
    """The plain percentile interval, which is too narrow for few prompts."""
    low, high = np.quantile(draws[np.isfinite(draws)], (0.025, 0.975))
    return float(low), float(high)


def wilson(part: Part) -> Bounds:
    return share_interval(float(part.accuracy[0]), part.drawn[:, 0], part.decisions.groups)


def pairs_alone(part: Part) -> Bounds:
    right = part.judged.right[:, 0]
    columns = {"n": np.ones(len(right)), "right": right}
    sums = resampled_sums(columns, np.arange(len(right)), RESAMPLES, 0)
    return plain(sums["right"] / sums["n"])


OF_ACCURACY: Ways = {
    "rmplug": wilson,
    "percentile": lambda part: plain(part.drawn[:, 0]),
    "pairs alone": pairs_alone,
}
OF_DIFFERENCE: Ways = {
    "rmplug": lambda part: part.bound(0, 1),
    "percentile": lambda part: plain(part.drawn[:, 0] - part.drawn[:, 1]),
}


def z_test(part: Part) -> float:
    """Two independent samples of pairs, as often seen."""
    n, (a, b) = part.decisions.number, part.accuracy
    spread = np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    return 2 * NormalDist().cdf(-abs(a - b) / spread) if spread else 1.0


def sign_flip(part: Part) -> float:
    return sign_flip_p(by_group(part.difference(0, 1), part.judged.groups))


TESTS: dict[str, Callable[[Part], float]] = {
    "rmplug": sign_flip,
    "mcnemar": lambda part: mcnemar_p(part.difference(0, 1)),
    "z-test": z_test,
}


def covered(parts: list[Part], ways: Ways, truth: float) -> dict[str, float]:
    def holds(interval: Bounds) -> bool:
        low, high = interval
        return low is not None and high is not None and low - 1e-9 <= truth <= high + 1e-9

    return {
        name: float(np.mean([holds(way(part)) for part in parts])) for name, way in ways.items()
    }


def found(parts: list[Part]) -> dict[str, float]:
    return {
        name: float(np.mean([test(part) < 0.05 for part in parts])) for name, test in TESTS.items()
    }


def shown(head: str, shares: dict[str, float]) -> None:
    print(f"{head:52}" + "".join(f"  {name} {100 * s:5.1f} %" for name, s in shares.items()))


def label(prompts: int, most: int) -> str:
    return f"{prompts} prompts, {'1 pair' if most == 1 else f'1-{most} pairs'} each"


def detectable_here(prompts: int, most: int) -> float:
    """The difference from 0.8 that is the detectable one of models with that difference."""
    seen = 0.1
    for turn in range(4):
        truth = (0.8, 0.8 - seen)
        parts = [simulated(prompts, most, truth, [prompts, most, 7, turn, k]) for k in range(100)]
        sums = [by_group(part.difference(0, 1), part.judged.groups) for part in parts]
        numbers = [part.decisions.number for part in parts]
        seen = float(np.mean([detectable(s, n) for s, n in zip(sums, numbers, strict=True)]))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=1_500)
    count = parser.parse_args().simulations
    start = time.perf_counter()
    print(
        f"{count} simulations a line: shares are known to ± {196 * np.sqrt(0.0475 / count):.1f} %"
    )
    for prompts, most in SETTINGS:
        for number, accuracy in enumerate(ACCURACIES):
            seed, head = [prompts, most, number], f"{label(prompts, most)}, accuracy {accuracy}"
            parts = [
                simulated(prompts, most, (accuracy, accuracy), [*seed, k]) for k in range(count)
            ]
            shown(f"{head}: interval", covered(parts, OF_ACCURACY, accuracy))
            shown("    interval of the difference (0)", covered(parts, OF_DIFFERENCE, 0.0))
            shown("    equal models said to differ", found(parts))
    print("\nmodels that differ by the minimum detectable difference: found")
    for prompts, most in SETTINGS:
        seen = detectable_here(prompts, most)
        parts = [
            simulated(prompts, most, (0.8, 0.8 - seen), [prompts, most, 8, k]) for k in range(count)
        ]
        shown(f"{label(prompts, most)}, 0.8 against {0.8 - seen:.3f}", found(parts))
        shown("    interval of the difference", covered(parts, OF_DIFFERENCE, seen))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
