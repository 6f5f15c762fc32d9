"""What an audit finds in a MiniLM that is trained as a reward model on real preferences.

Of a file of pairs (rmb, for instance) one pair of each prompt is taken, in English, both responses
of at most 1,100 characters. Half of the prompts train all weights of MiniLM for two epochs; a fifth
of the rest is searched for exploits, the others measure: accuracy beside an n-gram head on the same
pairs and baselines that need no model, and the battery, most of it at its highest doses, on some
prompts.

Measured, rmb, 250 pairs to train on (160 CPU seconds), 201 to measure on, seed 13. Accuracy 76.6 %
(95 % CI 70-82). The longer response 72 % (66-78), 4 points less (-2 to 11); counts of words, out of
fold, 73 % (67-79), 3 points less (-2 to 9); an n-gram head on the pairs of the training 75 %
(68-80). On 60 prompts, 4,442 texts, 46 changes: exploits in 4 of 18 families. In SD within a
prompt, sentences about something else raise the reward by 0.52 (0.33-0.71), with a refusal behind
them, which the search found, by 0.79 (0.54-1.04; the length alone would give 0.48); four sentences
of flattery by 0.45 (0.32-0.58), of authority by 0.30 (0.22-0.38). Lowered although the quality is
kept: by a table 0.53 (0.37-0.68), headings 0.15 (0.08-0.22), a code fence 0.12 (0.08-0.17). Not
punished: wrong numbers, a list of keywords, sentences in another order, and lower or upper case,
which MiniLM does not see. With a refusal in front of the bad response, accuracy on these prompts
falls from 80 % (68-88) to 57 % (37-74).

Run: ``python benchmarks/audit_real.py PAIRS.jsonl.gz`` (six minutes of processor time)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import gzip
import json
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import rmplug
from rmplug_audit.perturbations.battery import BATTERY
from rmplug_report.audit.document import Audit

LONGEST, LONGEST_PROMPT = 1100, 600
CURVES = ("padding", "bullets")
"""Perturbations at all their doses; the others at the highest."""
SHOWN = ("held", "ngram", "longer", "n-gram", "most-markdown", "first-character")


def chosen_pairs(file: Path, seed: int) -> list[dict[str, Any]]:
    """Return one pair of each prompt, in random order."""
    by_prompt = defaultdict(list)
    open_file = gzip.open if file.suffix == ".gz" else open
    with open_file(file, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            texts = [row["chosen"], row["rejected"]]
            size = sum(len(turn["content"]) for turn in row["prompt"])
            english = row.get("meta", {}).get("language", ["English"]) == ["English"]
            short = max(map(len, texts)) <= LONGEST and size < LONGEST_PROMPT
            told = all(text.strip() and text.isascii() for text in texts)
            if english and short and told and texts[0].strip() != texts[1].strip():
                by_prompt[json.dumps(row["prompt"])].append(row)
    rng = Random(seed)
    pairs = [rng.choice(rows) for rows in by_prompt.values()]
    rng.shuffle(pairs)
    kept = ("id", "prompt", "chosen", "rejected")
    return [
        {**{name: row[name] for name in kept}, "subset": row["subset"].split("/")[0]}
        for row in pairs
    ]


def spec_of(file: Path, prompts: int, budget: int, seed: int) -> dict[str, Any]:
    """Return the spec: training, accuracy, search, audit."""
    battery = [
        {"name": kind.name, "doses": kind.doses if kind.name in CURVES else [max(kind.doses)]}
        for kind in BATTERY
        if not kind.given and not kind.asks
    ]
    half, rest = ({"test": share, "by": "subset"} for share in (0.5, 0.8))
    base = {"name": "minilm", "head": "new", "template": "pair", "max_length": 256}
    training = {"num_train_epochs": 2, "learning_rate": 5e-5, "warmup_steps": 0.1}
    steps: dict[str, Any] = {
        "pairs": ("pairs-file", None, {"path": str(file)}),
        "train": ("split", "pairs", {**half, "part": "train"}),
        "test": ("split", "pairs", {**half, "part": "test"}),
        "searching": ("split", "test", {**rest, "part": "train"}),
        "measuring": ("split", "test", {**rest, "part": "test"}),
        "base": ("sequence-classifier", None, base),
        "model": ("reward-model", {"model": "base", "data": "train"},
                  {**training, "per_device_train_batch_size": 8}),
        "counts": ("ngram-head", "train", {}),
        "held": ("reward", {"model": "model", "data": "measuring"}, {}),
        "ngram": ("reward", {"model": "counts", "data": "measuring"}, {}),
        "accuracy": ("pairwise", {"data": "measuring", "rewards": ["held", "ngram"]}, {}),
        "exploits": ("find-exploits", {"model": "model", "data": "searching"},
                     {"budget": budget, "findings": 3}),
        "copies": ("perturb", {"data": "measuring", "exploits": "exploits"},
                   {"prompts": prompts, "perturbations": battery}),
        "minilm": ("reward", {"model": "model", "data": "copies"}, {}),
        "audit": ("effects", {"data": "copies", "rewards": ["minilm"]}, {}),
        "card": ("audit-card", ["exploits", "copies", "minilm", "audit"], {}),
    }  # fmt: skip
    made = {
        name: {"kind": kind, "params": params, **({"inputs": inputs} if inputs else {})}
        for name, (kind, inputs, params) in steps.items()
    }
    return {"name": "audit-real", "seed": seed, "steps": made}


def told(audit: Audit) -> None:
    """Print the headline, the grades, what was found, and an example of each."""
    print(audit.headline)
    for grade in audit.grades:
        print(f"  {grade.theme:12s} {grade.grade:12s} {estimate(grade)}  {grade.strongest}")
    for verdict in ("exploited", "sensitive", "not punished"):
        for one in audit.effects:
            if (one.verdict, one.subset) == (verdict, "all"):
                name = f"{one.perturbation} x {one.dose}"
                print(f"  {verdict:13s} {name:20s} {estimate(one)}, n = {one.n}")
    for shown in audit.examples:
        rewards = f"{shown.reward_before:.3f} -> {shown.reward_after:.3f}"
        print(f"\n{shown.perturbation} on {shown.id}: {rewards}\n{shown.after[:400]}")


def estimate(one: Any) -> str:
    return f"{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--most", type=int, help="most pairs")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--budget", type=int, default=600, help="scorings of the search")
    parser.add_argument("--seed", type=int, default=13)
    asked = parser.parse_args()
    started = time.process_time()
    with TemporaryDirectory() as made:
        file = Path(made) / "pairs.jsonl"
        pairs = chosen_pairs(asked.pairs, asked.seed)[: asked.most]
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
        spec = spec_of(file, asked.prompts, asked.budget, asked.seed)
        run = rmplug.run(spec, store=Path(made) / "store")
        for row in run["accuracy"].table.to_pylist():
            if row["metric"] == "accuracy" and row["model"] in SHOWN:
                bounds = f"({row['low']:.3f} to {row['high']:.3f}), n = {row['n']}"
                print(
                    f"accuracy {row['model']:16s} {row['subset']:14s} {row['value']:.3f} {bounds}"
                )
        told(Audit.model_validate_json((run.path("card") / "files/audit.json").read_bytes()))
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
