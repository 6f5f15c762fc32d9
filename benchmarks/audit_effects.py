"""Whether ``effects`` and ``retest`` say what is true: planted effects, simulated many times.

Tables of responses with changed copies are simulated with known effects and go through the
evaluators' own code. Eight questions:

1. How often do the 95 % intervals of ``effect`` hold the planted one? Rewards are normal, t with 5
   or 3 degrees of freedom, or skewed; each prompt has two responses, or 2 to 16, which share in
   part how they react.
2. What share of what is found among 40 tests is false, with 0, 5 and 20 true effects? Tests of one
   prompt are correlated: not, positively, or in two camps that react in opposite ways.
3. Is an effect of the size ``detectable`` found in 80 %?
4. Does a model that is right by construction (it scores quality alone) show anything beyond the
   level, and is its damage punished?
5. Does the interval of the worst of many accuracies hold the truth?
6. How often does ``retest`` hold what remains of an effect, and call it repaired, where a repair
   that also changes the scale of the reward leaves nothing, exactly what is allowed, or all?
7. How often does the interval of a theme hold its strongest effect, with few prompts and many
   members? The members are 8 or 40, all of them without effect, or one of 0.5.
8. Of changes that move few responses by much: is their effect held, and is it called harmless?

Run: ``python benchmarks/audit_effects.py`` (about five minutes of processor time; ``--only 7 8
--simulations 900`` is what follows: two and a half)

Part 7, at 6, 12, 25, 40 and 100 prompts, 300 simulations each: without any effect 96.7 to 100 % are
held, with one of 0.5 98.7 to 100 %. With normal quantiles for the choice, as before, of 40 members
without effect 78 to 80 % were held at 6 prompts, 92 % at 12, 94 to 97 % from 25 on (100
simulations).

Part 8, at 25 prompts, 45 tables of 20 changes: of changes that move 10 % of the responses by 3, 5 %
by 5, 2 % by 5 units, 99, 92 and 100 % are held and none is called harmless; before, 91, 88 and 66 %
were held and 1, 8 and 34 % called harmless. Of 2 % moved by 15 units, farther than what is allowed
for, 64 % are held at 25 prompts and 88 % at 80.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rmplug_audit.measuring._counterfactual_arrays import Change, Counterfactuals
from rmplug_audit.measuring._effects import Asked, _family, _themes
from rmplug_audit.measuring._model import MeasuredModel
from rmplug_audit.measuring._preferences import shares_of, worst_of
from rmplug_audit.measuring._retest import _retested
from rmplug_audit.measuring._rows import row_of
from rmplug_audit.measuring._scores import Scores
from rmplug_audit.measuring._tested import corrected, verdict_of

Rng = np.random.Generator
SPREADS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape) / np.sqrt(5 / 3),
    "t3": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3),
    "skewed": lambda rng, shape: rng.gamma(4, 0.5, size=shape) - 2,
}
"""Numbers with mean 0 and deviation 1."""
OWN, SHARED = 0.5, 0.3
"""Deviations of what a change does to a response and to all responses of a prompt."""
SIZE = 0.2
ASKED = Asked(SIZE, "positive", 0)


@dataclass(frozen=True)
class World:
    """A simulated setting."""

    prompts: int
    spread: str = "normal"
    uneven: bool = False
    """Prompts with 2 to 16 responses each instead of 2, and different deviations."""
    camps: str = "none"
    """How tests of one prompt depend: ``none``, ``one`` or ``two`` camps."""
    moved: float = 1.0
    """The share of responses that a change moves; by more, where they are few."""


def simulated(
    world: World, planted: Sequence[float], rng: Rng, intention: str = "keeps"
) -> MeasuredModel:
    """One model on prompts whose responses have a quality, with a change for each planted
    effect."""
    pairs = rng.integers(1, 9, world.prompts) if world.uneven else np.ones(world.prompts, np.int64)
    group = np.repeat(np.arange(world.prompts), 2 * pairs)
    n, changes, draw = len(group), len(planted), SPREADS[world.spread]
    original = draw(rng, n)
    of_prompt = draw(rng, (changes, world.prompts))
    if world.camps != "none":
        signs = np.where(np.arange(changes) % 2, -1 if world.camps == "two" else 1, 1)
        together = signs[:, None] * draw(rng, world.prompts)
        of_prompt = np.sqrt(0.8) * together + np.sqrt(0.2) * of_prompt
    reaction = OWN * draw(rng, (changes, n)) + SHARED * of_prompt[:, group]
    effects = np.broadcast_to(np.asarray(planted)[:, None], (changes, n))
    if world.moved < 1:
        large = effects / world.moved * (1 + 0.2 * draw(rng, (changes, n)))
        changed = original + np.where(rng.random((changes, n)) < world.moved, large, 0.0)
    else:
        changed = original + effects + reaction
    rows = n + np.arange(changes * n).reshape(changes, n)
    table = Counterfactuals(
        ids=None,  # type: ignore[arg-type]
        originals=np.arange(n),
        changes=tuple(Change(f"change-{k}", "all", 1, intention) for k in range(changes)),
        rows=rows,
        group=group,
        choice=group,
        label=(np.arange(n) % 2).astype(np.float64),
        parts={"all": np.ones(n, bool)},
        characters=np.ones(n + changes * n),
    )
    return MeasuredModel(table, Scores("model", np.concatenate([original, changed.ravel()])))


def coverage(world: World, planted: Sequence[float], count: int) -> list[float]:
    """How often the interval of each planted effect holds it."""
    held = np.zeros(len(planted))
    for k in range(count):
        model = simulated(world, planted, np.random.default_rng([world.prompts, k]))
        for c, truth in enumerate(planted):
            low, high = model.effect(c, model.table.parts["all"]).interval
            held[c] += low <= truth <= high
    return list(held / count)


def found(model: MeasuredModel, dependence: str = "positive") -> list[dict]:
    """The rows of the evaluator for the effects of a model on the whole."""
    whole = model.table.parts["all"]
    tests = [model.effect(c, whole) for c in range(len(model.table.changes))]
    rows = []
    for test, numbers, change in zip(
        tests, corrected(tests, SIZE, dependence), model.table.changes, strict=True
    ):
        row = row_of("effect", "all", change, test.value, test.interval, test.n) | numbers
        rows.append(row | {"verdict": verdict_of(change.intention, row, SIZE)})
    return rows


def discoveries(world: World, true: int, count: int, dependence: str) -> tuple[float, float]:
    """The mean share of false ones among what is found, and of the true ones that are found."""
    planted = [0.3] * true + [0.0] * (40 - true)
    false, power = [], []
    for k in range(count):
        model = simulated(world, planted, np.random.default_rng([world.prompts, true, k]))
        hit = np.array([row["q"] <= 0.05 for row in found(model, dependence)])
        false.append(hit[true:].sum() / max(hit.sum(), 1))
        power.append(hit[:true].mean() if true else np.nan)
    return float(np.mean(false)), float(np.nanmean(power)) if true else float("nan")


def detectable(world: World, true: int, count: int) -> tuple[float, float]:
    """How often an effect of the size that is said to be detectable is found among 40 tests, with
    ``true`` others that are there; and that size. The size is the mean of other simulations."""
    beside = [0.5] * true + [0.0] * (39 - true)

    def rows(size: float, seed: list[int]) -> dict:
        return found(simulated(world, [size, *beside], np.random.default_rng(seed)))[0]

    size = float(np.mean([rows(0.0, [1, true, k])["detectable"] for k in range(60)]))
    hits = [rows(size, [2, true, world.prompts, k])["q"] <= 0.05 for k in range(count)]
    return float(np.mean(hits)), size


def blind(world: World, intention: str, effect: float, count: int) -> dict[str, float]:
    """The share of tables with any exploit or sensitivity, and of changes by verdict, for a model
    that is right: what keeps quality moves nothing on average, and damage costs ``effect``."""
    verdicts, tables = [], 0
    for k in range(count):
        rng = np.random.default_rng([world.prompts, k, 5])
        own = [row["verdict"] for row in found(simulated(world, [effect] * 40, rng, intention))]
        verdicts += own
        tables += bool({"exploit", "sensitive"} & set(own))
    names = ("exploit", "sensitive", "none", "cannot tell")
    return {"tables": tables / count} | {n: verdicts.count(n) / len(verdicts) for n in names}


def worst(world: World, count: int) -> float:
    """How often the interval of the worst of 40 accuracies holds the least true one: no change
    moves it, so each true one is that of the reward plus the reaction, found in a large
    simulation."""
    large = simulated(World(40_000), [0.0], np.random.default_rng(0))
    truths = [share.estimate.value for share in shares_of(large, "all", large.table.parts["all"])
              if share.metric.startswith("accuracy-")]  # fmt: skip
    held = 0
    for k in range(count):
        model = simulated(world, [0.0] * 40, np.random.default_rng([world.prompts, k, 6]))
        shares = list(shares_of(model, "all", model.table.parts["all"]))
        low, high = worst_of(shares, world.prompts, [k])[1]
        held += low <= min(truths) <= high
    return held / count


def retested(world: World, rest: float, count: int) -> tuple[float, float]:
    """How often the interval of what remains of an effect holds it, and lies within a fifth."""
    held = repaired = 0
    for k in range(count):
        rng = np.random.default_rng([world.prompts, k, 7])
        before = simulated(world, [1.0], rng)
        n = len(before.table.originals)
        original, reaction = before.original, before.differences[0] - 1
        new = 2 * (np.sqrt(0.8) * original + np.sqrt(0.2) * rng.normal(size=n))
        changed = new + 2 * (rest + 0.5 * reaction + 0.2 * rng.normal(size=n))
        after = MeasuredModel(before.table, Scores("after", np.concatenate([new, changed])))
        low, high = _retested(before, after, 0).bounds
        held += low <= rest <= high
        repaired += low >= -0.2 and high <= 0.2
    return held / count, repaired / count


def theme(world: World, planted: Sequence[float], count: int) -> tuple[float, float]:
    """How often the interval of a theme holds its strongest effect; its mean width."""
    held, width = 0, 0.0
    for k in range(count):
        model = simulated(world, planted, np.random.default_rng([world.prompts, k, 8]))
        whole = model.table.parts["all"]
        tests = [(c, model.effect(c, whole)) for c in range(len(planted))]
        made = list(_family("effect", {"all": tests}, model, ASKED))
        row = next(_themes(model, tests, made, [k]))
        held += row["low"] <= max(planted) <= row["high"]
        width += (row["high"] - row["low"]) / count
    return held / count, width


def part_1(count: int) -> None:
    error = 196 * np.sqrt(0.0475 / count)
    print(f"1. intervals that hold the planted effect, in % (± {error:.1f})")
    planted = (0.0, 0.2, 0.5, 1.0)
    print(f"{'':42}" + "".join(f"{f'effect {p}':>12}" for p in planted))
    for spread in SPREADS:
        for prompts in (30, 100, 300):
            for uneven in (False, True):
                shares = coverage(World(prompts, spread, uneven), planted, count)
                name = f"{prompts} prompts, {spread}, {'2-16' if uneven else '2'} responses"
                print(f"{name:42}" + "".join(f"{100 * share:12.1f}" for share in shares))


def part_2(count: int) -> None:
    fewer = max(count // 4, 20)
    print("2. of 40 tests: false among the found, true ones found, in %, and for any dependence")
    for prompts, camps in ((30, "none"), (100, "none"), (100, "one"), (100, "two")):
        for true in (0, 5, 20):
            world = World(prompts, uneven=False, camps=camps)
            shares = [discoveries(world, true, fewer, rule) for rule in ("positive", "any")]
            cells = "".join(f"{100 * a:10.1f} {100 * b:6.1f}" for a, b in shares)
            print(f"{f'{prompts} prompts, camps: {camps}, {true} true of 0.3':42}{cells}")


def part_3(count: int) -> None:
    fewer = max(count // 4, 20)
    print("3. an effect of the size that is called detectable among 40 tests, found in %")
    for prompts in (30, 100, 300):
        for true in (0, 19):
            share, size = detectable(World(prompts), true, 3 * fewer // 2)
            name = f"{prompts} prompts, {true} others true"
            print(f"{name:42}{100 * share:10.1f} (size {size:.3f})")


def part_4(count: int) -> None:
    fewer = max(count // 4, 20)
    print("4. a model that is right: tables with a fault, and verdicts of 40 changes, in %")
    for intention, effect in (("keeps", 0.0), ("improves", 0.5), ("worsens", -0.5)):
        for prompts in (30, 300):
            shares = blind(World(prompts, "t5"), intention, effect, fewer // 2)
            cells = ", ".join(f"{name} {100 * share:.1f}" for name, share in shares.items())
            print(f"{f'{prompts} prompts, {intention}, {effect} units':42}{cells}")


def part_5(count: int) -> None:
    fewer = max(count // 4, 20)
    print("5. the interval of the worst of 120 accuracies that are the same holds it, in %")
    for prompts in (100, 300):
        print(f"{f'{prompts} prompts':42}{100 * worst(World(prompts), fewer // 2):10.1f}")


def part_6(count: int) -> None:
    print("6. what remains of an effect: held by its interval, called repaired, in %")
    for prompts in (30, 300):
        for rest in (0.0, 0.2, 1.0):
            held, repaired = retested(World(prompts, "t5"), rest, count // 2)
            name = f"{prompts} prompts, {rest} remains"
            print(f"{name:42}{100 * held:10.1f} {100 * repaired:6.1f}")


def part_7(count: int) -> None:
    print("7. the interval of a theme holds its strongest effect, in %, and its width")
    worlds = {"none": (0.0, 0.0), "one of 0.5": (0.5, 0.0)}
    for spread in ("normal", "skewed"):
        for members in (8, 40):
            for name, (first, rest) in worlds.items():
                planted = [first] + [rest] * (members - 1)
                for prompts in (6, 12, 25, 40, 100):
                    held, width = theme(World(prompts, spread), planted, max(count // 3, 20))
                    what = f"{prompts} prompts, {spread}, {members} members, {name}"
                    print(f"{what:50}{100 * held:10.1f} {width:8.2f}", flush=True)


def part_8(count: int) -> None:
    print("8. of 20 changes that move few responses: held, called harmless, called a fault, in %")
    for moved, size in ((0.1, 3.0), (0.05, 5.0), (0.02, 5.0), (0.02, 15.0)):
        for prompts in (12, 25, 40, 80):
            world, rows = World(prompts, moved=moved), []
            for k in range(max(count // 20, 20)):
                rng = np.random.default_rng([prompts, k, 9])
                rows += found(simulated(world, [moved * size] * 20, rng))
            held = np.mean([row["low"] <= moved * size <= row["high"] for row in rows])
            said = [row["verdict"] for row in rows]
            shares = [100 * said.count(name) / len(said) for name in ("none", "exploit")]
            name = f"{prompts} prompts, {100 * moved:.0f} % moved by {size:g}"
            print(f"{name:42}{100 * held:10.1f} {shares[0]:6.1f} {shares[1]:6.1f}", flush=True)


PARTS = (part_1, part_2, part_3, part_4, part_5, part_6, part_7, part_8)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=1_200)
    parser.add_argument("--only", type=int, nargs="+", default=range(1, len(PARTS) + 1))
    asked = parser.parse_args()
    start = time.process_time()
    for number in asked.only:
        PARTS[number - 1](asked.simulations)
        print(flush=True)
    print(f"{time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
