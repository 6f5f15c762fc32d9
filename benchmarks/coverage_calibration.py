"""How far the calibration error of ``pairwise`` is off, and how often its 95 % interval holds it.

The confidence of a simulated model is sigmoid(|margin|), and it is right with the probability
sigmoid(scale |margin|): calibrated for a scale of 1, the surer than right the lower the scale.

Measured (300 simulations a line; estimate and share held, before and now): of a calibrated model
.214 to .088 and 0 % to 95 % at 20 prompts, .102 to .048 and 0 % to 98 % at 100; of a true .071 .133
to .066 and 3 % to 99 % at 100; of a true .142 .289 to .116 and 14 % to 100 % at 20.

Run: ``python benchmarks/coverage_calibration.py`` (about a minute)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse

import numpy as np

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.calibration import BINS, calibration_error, confidence_bins, right

RESAMPLES = 1_000


def world(scale: float, prompts: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Margins of 1 to ``most`` pairs of each prompt, and their prompts."""
    rng = np.random.default_rng([seed, prompts, most])
    groups = np.repeat(np.arange(prompts), rng.integers(1, most + 1, prompts))
    size = np.abs(rng.normal(0.4, 1.3, len(groups)) + 0.4 * rng.normal(size=prompts)[groups])
    is_right = rng.random(len(groups)) < 1 / (1 + np.exp(-scale * size))
    return np.where(is_right, size, -size), groups


def off_by_bin(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidence, bins = confidence_bins(margin)
    return right(margin) - confidence, bins


def before(margin: np.ndarray, groups: np.ndarray, seed: int) -> tuple[float, float]:
    """The percentile interval of the usual estimate."""
    off, bins = off_by_bin(margin)
    columns = {str(k): np.where(bins == k, off, 0.0) for k in range(BINS)}
    sums = resampled_sums({"n": np.ones(len(off)), **columns}, groups, RESAMPLES, seed)
    drawn = sum(np.abs(sums[str(k)]) for k in range(BINS)) / sums["n"]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def measure(scale: float, prompts: int, most: int, count: int) -> None:
    off, bins = off_by_bin(world(scale, 400_000, 1, 0)[0])
    truth = np.abs(np.bincount(bins, off)).sum() / len(off)
    held, held_before, found, usual = [], [], [], []
    for seed in range(1, count + 1):
        margin, groups = world(scale, prompts, most, seed)
        error = calibration_error(margin, groups, seed)
        low, high = error.bounds
        held.append(low is not None and high is not None and low <= truth <= high)
        found.append(error.debiased)
        usual.append(error.plug_in)
        low, high = before(margin, groups, seed)
        held_before.append(low <= truth <= high)
    print(
        f"true {truth:.3f}, {prompts:4} prompts of 1-{most}: estimate {np.mean(usual):.3f} before, "
        f"{np.mean(found):.3f} now; held {np.mean(held_before):6.1%} before, {np.mean(held):6.1%} "
        "now",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=300)
    count = parser.parse_args().simulations
    for scale in (1.0, 0.6, 0.3):
        for prompts, most in ((20, 1), (20, 4), (100, 1), (100, 4), (1000, 1)):
            measure(scale, prompts, most, count)


if __name__ == "__main__":
    main()
