"""`gate` on preferences whose gate is known, and beside direct torch loops.

1. A training step on 20,000 pairs with states of 2,048 numbers, three hidden layers of 1,024, batch
   1,024, float32: seconds of processor time per step on one thread, beside (a) the published form,
   which gates both sides of a pair and makes their rewards of their states at each step, and (b)
   the same loop with one gate per pair.
2. 20,000 pairs with states of 256 numbers and six types of prompt, default settings, ten seeds of
   data, split and training: held-out accuracy beside that of the score that chose, and entropy.

Run: python benchmarks/gate.py [steps|planted|all] [SEEDS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "rmplug_armorm"))
import itertools

from planted_gates import ENTROPY, debias_fit, heads_fit, planted, trained, value

from rmplug_armorm import Gate
from rmplug_armorm.gate._examples import GateExamples
from rmplug_armorm.gate._settings import GateSettings
from rmplug_armorm.gate._training import train_network

ROWS, WIDTH, ATTRIBUTES, STEPS = 20_000, 2048, 19, 20
GOAL, RATIO = 0.79, 0.6


def examples(rng: np.random.Generator) -> tuple[GateExamples, np.ndarray, np.ndarray]:
    """Random states, and what `gate` keeps of them."""
    weight = rng.normal(size=(ATTRIBUTES, WIDTH)).astype(np.float32) / 45
    sides = rng.normal(size=(ROWS, 2, WIDTH)).astype(np.float32)
    rewards = (sides @ weight.T).astype(np.float64)
    names = tuple(f"a{k}" for k in range(ATTRIBUTES))
    zeros, ones, at = np.zeros(ROWS), np.ones(ROWS), np.arange(ROWS)
    prompts = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    ids = at.astype(object)
    kept = GateExamples(
        names, prompts, rewards[:, 0], rewards[:, 1], zeros, ones, at, ids, ids, zeros
    )
    return kept, sides, weight


def with_rmplug(kept: GateExamples) -> float:
    step = Gate(
        hidden=1024, layers=3, dropout=0.2, temperature=(10.0,), steps=STEPS, check_every=STEPS,
        precision="float32", device="cpu",
    )  # fmt: skip
    start = time.process_time()
    train_network(GateSettings(**step.model_dump()), kept, kept.at(np.arange(1)), 0)
    return (time.process_time() - start) / STEPS


def with_torch(kept: GateExamples, sides: np.ndarray, weight: np.ndarray, both: bool) -> float:
    """A plain loop: states on the device, a gate, AdamW."""
    torch.manual_seed(0)
    sizes = [WIDTH, 1024, 1024, 1024]
    layers: list[torch.nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU(), torch.nn.Dropout(0.2)]
    gate = torch.nn.Sequential(*layers, torch.nn.Linear(1024, ATTRIBUTES))
    scale = torch.nn.Parameter(torch.ones(1))
    optimiser = torch.optim.AdamW([*gate.parameters(), scale], lr=1e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    states, heads = torch.from_numpy(sides), torch.from_numpy(weight)
    prompts = torch.from_numpy(np.repeat(kept.prompts[:, None], 2, axis=1))
    start = time.process_time()
    for _ in range(STEPS):
        at = torch.randint(0, ROWS, (1024,))
        asked = prompts[at] if both else prompts[at][:, :1]
        weights = scale * torch.softmax(gate(asked) / 10, dim=-1)
        score = (weights * (states[at] @ heads.T)).sum(dim=-1)
        loss = torch.nn.functional.softplus(score[:, 1] - score[:, 0]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return (time.process_time() - start) / STEPS


def steps() -> None:
    kept, sides, weight = examples(np.random.default_rng(0))
    with threadpool_limits(1):
        torch.set_num_threads(1)
        runs = {
            "gate": lambda: with_rmplug(kept),
            "torch, both sides": lambda: with_torch(kept, sides, weight, True),
            "torch, once a pair": lambda: with_torch(kept, sides, weight, False),
        }
        seconds = {name: min(run() for _ in range(3)) for name, run in runs.items()}
    for name, taken in seconds.items():
        print(f"{name}: {taken:.3f} s of CPU per step")
    for name in list(seconds)[1:]:
        print(f"gate / {name}: {seconds['gate'] / seconds[name]:.2f} (wanted at most {RATIO})")


def planted_sets(seeds: int) -> None:
    torch.set_num_threads(1)
    reached = 0
    with TemporaryDirectory() as place, threadpool_limits(1):
        for seed in range(seeds):
            truth, folder = planted(ROWS, 256, 6, seed), Path(place) / str(seed)
            heads = heads_fit(folder / "heads", truth.weight)
            debias = debias_fit(folder / "debias", truth.transform)
            start = time.process_time()
            numbers = trained(folder / "gate", heads, truth, debias, seed).numbers
            found = {name: value(numbers, name) for name in ("accuracy", "log-loss", "entropy")}
            found |= {
                name: value(numbers, "accuracy", model=name)
                for name in ("equal-weights", "constant-weights")
            }
            reached += found["accuracy"] >= GOAL
            told = ", ".join(f"{name} {number:.3f}" for name, number in found.items())
            print(
                f"seed {seed}: {told}; the score that chose {truth.right.mean():.3f}; "
                f"{time.process_time() - start:.0f} s of CPU",
                flush=True,
            )
    print(f"at least {GOAL}: {reached} of {seeds} seeds; planted entropy {ENTROPY:.3f}")


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    if what in ("steps", "all"):
        steps()
    if what in ("planted", "all"):
        planted_sets(int(sys.argv[2]) if len(sys.argv) > 2 else 10)


if __name__ == "__main__":
    main()
