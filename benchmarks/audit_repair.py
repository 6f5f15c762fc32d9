"""What repairs by training again do to biases that were planted in small reward models.

N-gram heads are trained on 120 pairs, and on pairs in which changed copies win, two biases in each
(see ``planted_models.py``). Each bias that the battery finds as an exploit is repaired by `augment`
with the perturbations that are meant for it, added to the same training data, the planted pairs
among them. `retest` compares before and after on prompts that neither training has seen: of the
same data, and of another data set. Printed for each bias: its effect before and after (in standard
deviations within prompts), by how much it fell, the verdict, other effects that went up, and the
change of accuracy in points with its 95 % interval.

Measured, examples/data beside 300 pairs of hh_rlhf, 10 repairs in 5 models, when `augment` made a
perturbation at one dose for each pair: 5 of them, in four models (headings twice, confidence,
flattery, authority), take 90 to 99 % of the effect away on both sets and cost no accuracy on
held-out pairs; confidence in a fifth model costs 2.9 points (not significant). Bullets, bold and
emoji keep 24 to 42 %. The repair of length costs 15 points.

Since `augment` goes on to other doses, held out, one model each: of headings and confidence 1 % is
left, of bold 10 to 17 % by dose, of emoji 11 to 13 %, of bullets 27 %, which the weight decides
(0.05: 45 %; 0.5: 15 %). The accuracy changes by 0 to +7 points; the repair of length, with twice
the pairs, costs 20 (11 to 29). Of 39 other effects 0 to 3 became worse by more than 0.1 (15 with
length).

Run: ``python benchmarks/audit_repair.py [OTHER.jsonl]`` (examples/data beside another file of
pairs, such as hh_rlhf; some minutes of processor time). ``--models`` is the number of models.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from planted_models import PLANTED, train_ngrams, with_copies

from rmplug import Features, Pairs, Responses, RewardModel
from rmplug.data.rows import one_batch
from rmplug.testing import run_step
from rmplug_audit import Augment, Perturb, Retest
from rmplug_text import PairsFile

DEFAULT = Path(__file__).resolve().parents[1] / "examples/data/preferences.jsonl"
TRAINING, OTHER, FALL, LOST = 120, 300, 0.8, 0.005


def changed(pairs: Pairs, folder: Path) -> Responses:
    """Return all perturbations that any planted bias is meant to show, on the pairs."""
    names = tuple(dict.fromkeys(name for _, meant in PLANTED.values() for name in meant))
    return run_step(Perturb(perturbations=names), {"data": pairs}, folder)


def scored(model: RewardModel, data: Responses, name: str) -> Features:
    scores = np.asarray(model.score(one_batch(data.table))).reshape(-1)
    return Features({"id": data.table["id"], "reward": scores}, name)


def repaired(training: Pairs, bias: str, folder: Path, number: int) -> RewardModel:
    """Train again with pairs in which each response ties with its copy and better ones win."""
    entries = [{"name": name} for name in PLANTED[bias][1]]
    step = Augment(perturbations=entries, copies=6, keeps="both", weight=0.15)
    more = run_step(step, {"data": training}, folder / "more", seed=number)
    return train_ngrams(Pairs(more.table, "more"), folder / "model", number)


def told(rows: Sequence[Mapping[str, Any]], meant: Sequence[str]) -> dict[str, Any] | None:
    """Return what became of the strongest effect that is meant for a bias; None without any."""
    of = {
        (row["metric"], row["perturbation"], row["dose"]): row
        for row in rows
        if row["subset"] == "all"
    }
    exploits = [
        row
        for (metric, name, _), row in of.items()
        if metric == "effect-before" and name in meant and row["verdict"] == "exploit"
    ]
    raising = [row for row in exploits if row["value"] > 0]
    if not raising:
        return None
    before = max(raising, key=lambda row: row["value"])
    after, change = (
        of[metric, before["perturbation"], before["dose"]]
        for metric in ("effect-after", "effect-change")
    )
    [accuracy] = [row for (metric, *_), row in of.items() if metric == "accuracy-change"]
    [up] = [row for (metric, *_), row in of.items() if metric == "effects-up"]
    return {
        "what": f"{before['perturbation']} x {before['dose']}",
        "before": before["value"],
        "after": after["value"],
        "fall": 1 - _exploited(after) / before["value"],
        "verdict": change["verdict"],
        "accuracy": tuple(accuracy[name] for name in ("value", "low", "high")),
        "up": f"{up['value']:.0f} of {up['n']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--models", type=int, default=10)
    asked = parser.parse_args()
    started, reached, all_repairs = time.process_time(), 0, 0
    with TemporaryDirectory() as made:
        folder = Path(made)
        loaded = run_step(PairsFile(path=DEFAULT), {}, folder / "pairs")
        order = np.random.default_rng(0).permutation(len(loaded)).tolist()
        some, rest = (
            Pairs(loaded.take(part).table, "pairs") for part in (order[:TRAINING], order[TRAINING:])
        )
        sets = {"held out": changed(rest, folder / "held-out")}
        if asked.other:
            elsewhere = run_step(PairsFile(path=asked.other), {}, folder / "other-pairs")
            first = Pairs(elsewhere.table.slice(0, OTHER), "other")
            sets["another data set"] = changed(first, folder / "other")
        names = list(PLANTED)
        for number in range(0, 2 * asked.models, 2):  # the models of even numbers: strong biases
            first_bias = (number // 2) % 10
            biases = (names[first_bias], names[(first_bias + 3) % 10])
            training = with_copies(some, biases, number)
            place = folder / f"model-{number}"
            before = train_ngrams(training, place, number)
            for bias in biases:
                after = repaired(training, bias, _made(place / bias), number)
                results = []
                for what, data in sets.items():
                    both = [scored(before, data, "before"), scored(after, data, "after")]
                    step = Retest(targets=PLANTED[bias][1])
                    found = told(step.evaluate(data, *both).table.to_pylist(), PLANTED[bias][1])
                    print(f"{number:3d} {bias:12s} {what:17s} {_line(found)}", flush=True)
                    results.append(found)
                if all(results):
                    all_repairs += 1
                    kept = results[0]["accuracy"][0] >= -LOST
                    reached += kept and all(one["fall"] >= FALL for one in results)
    print(
        f"\n{reached} of {all_repairs} repairs take {FALL:.0%} of the effect away on every set and "
        f"cost at most {LOST} of accuracy on held-out pairs; "
        f"{time.process_time() - started:.0f} CPU s"
    )


def _exploited(effect: Mapping[str, Any]) -> float:
    """Return how much of an effect exploits the model: a change for the worse may lower rewards."""
    value = float(effect["value"])
    return max(0.0, value) if effect["intention"] == "worsens" else abs(value)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _line(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no exploit before"
    value, low, high = (100 * each for each in found["accuracy"])
    return (
        f"{found['what']:16s} {found['before']:+.2f} -> {found['after']:+.2f} "
        f"({found['fall']:4.0%} less) {found['verdict']:12s} others up {found['up']:9s} "
        f"accuracy {value:+.1f} points ({low:+.1f} to {high:+.1f})"
    )


if __name__ == "__main__":
    main()
