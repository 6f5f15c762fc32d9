"""MiniLM trained as a reward model, in three ways, beside simple models on the same rows.

Pairs of a file (hh_rlhf, for instance), split by prompt; one epoch, batches of 8, at most
``--length`` tokens, the same learning rate and seed for all. rmplug's ``reward-model`` (all
weights, and LoRA) beside TRL's own ``RewardTrainer`` on rows that are turned into tokens first:
with its defaults, which compute activations twice, and without that. Each way is a process of its
own: its CPU seconds are those of the training, imports and evaluation apart. Tokens are those of
the texts, padding is what runs beside them. Accuracy is on all held-out pairs, with 95 % intervals
over prompts; beside it ``linear-head`` on the same encoder, ``ngram-head`` and the longer response.
The difference in accuracy to each of TRL's ways is paired, over the held-out pairs of all seeds:
its 95 % interval is over prompts.

Run: ``python benchmarks/reward_model.py PAIRS.jsonl --pairs 400 --seeds 3``
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

import rmplug
from rmplug import Pairs
from rmplug.stats.estimates import mean
from rmplug.stats.metric_rows import measured, share_of, wins

BATCH, HELD_OUT = 8, 0.4
RATES = {"all": 2e-5, "lora": 5e-4}
WAYS = ("rmplug", "rmplug-lora", "trl", "trl-no-checkpointing")


def spec_of(file: str, count: int, length: int, seed: int, **steps: Any) -> dict[str, Any]:
    """Return a spec that splits the pairs by prompt."""
    split = {"kind": "split", "inputs": "some"}
    base = {"name": "minilm", "head": "new", "template": "pair", "max_length": length}
    return {
        "name": "reward-model",
        "seed": seed,
        "steps": {
            "pairs": {"kind": "pairs-file", "params": {"path": file}},
            "some": {"kind": "random", "inputs": "pairs", "params": {"n": count}},
            "train": {**split, "params": {"test": HELD_OUT, "part": "train"}},
            "test": {**split, "params": {"test": HELD_OUT, "part": "test"}},
            "base": {"kind": "sequence-classifier", "params": base},
            **steps,
        },
    }


def held_out(margins: np.ndarray, test: Pairs) -> dict[str, Any]:
    """Return the accuracy on held-out pairs with its interval, and each pair with its prompt."""
    names = test.table["group"].to_pylist()
    groups, right = np.unique(names, return_inverse=True)[1], wins(margins)
    [row] = measured({"right": right}, {"accuracy": share_of("right")}, groups, 0)
    pairs = {"right": right.tolist(), "group": names}
    return {"accuracy": row["value"], "low": row["low"], "high": row["high"], **pairs}


def by_rmplug(way: str, file: str, count: int, length: int, seed: int) -> dict[str, Any]:
    """Train by a spec; the step's own measurement gives the CPU seconds."""
    lora = way.endswith("lora")
    params = {
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATES["lora" if lora else "all"],
        **({"lora": {}} if lora else {}),
    }
    train = {"kind": "reward-model", "inputs": {"model": "base", "data": "train"}, "params": params}
    reward = {"kind": "reward", "inputs": {"model": "model", "data": "test"}}
    import rmplug_trl.reward_models._reward_model  # noqa: F401 - imports are not what is timed

    with tempfile.TemporaryDirectory() as store:
        spec = spec_of(file, count, length, seed, model=train, reward=reward)
        rmplug.run(spec, store=store, only=["train", "test"])
        started = time.process_time()
        run = rmplug.run(spec, store=store, only=["model"])
        seconds = time.process_time() - started
        run = rmplug.run(spec, store=store)
        numbers = {r["metric"]: r["value"] for r in run["model"].numbers if "step" not in r}
        margins = run["reward"].table["margin"].to_numpy()
        return {
            "seconds": seconds,
            "padding": numbers["padding"],
            **held_out(margins, run["test"]),
        }


def by_trl(way: str, file: str, count: int, length: int, seed: int) -> dict[str, Any]:
    """Train by TRL, as a competent user would: tokens by the tokenizer, pairs of segments."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    from rmplug.data.rows import one_batch
    from rmplug.data.sides import side_of
    from rmplug.models.installed_encoders import MINILM

    with tempfile.TemporaryDirectory() as store:
        run = rmplug.run(spec_of(file, count, length, seed), store=store, only=["train", "test"])
        train, test = run["train"], run["test"]
        folder = str(MINILM.folder())
        started = time.process_time()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)

        def tokens(data: Pairs, side: str) -> list[list[int]]:
            rows = side_of(one_batch(data.table), side).to_pylist()
            prompts = ["\n\n".join(turn["content"] for turn in row["prompt"]) for row in rows]
            answers = ["\n\n".join(turn["content"] for turn in row["response"]) for row in rows]
            cut = {"truncation": "longest_first", "max_length": length}
            ids: list[list[int]] = tokenizer(prompts, answers, **cut)["input_ids"]
            return ids

        columns = {f"{side}_ids": tokens(train, side) for side in ("chosen", "rejected")}
        given = {"gradient_checkpointing": False} if way.endswith("no-checkpointing") else {}
        arguments = RewardConfig(
            output_dir=store + "/out",
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=RATES["all"],
            seed=seed,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            **given,
        )
        trainer = RewardTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            processing_class=tokenizer,
        )
        padded = [0, 0]
        collate = trainer.data_collator

        def counted(rows: Any) -> Any:
            batch = collate(rows)
            padded[0] += int(batch["attention_mask"].sum())
            padded[1] += batch["attention_mask"].numel()
            return batch

        trainer.data_collator = counted
        trainer.train()
        seconds = time.process_time() - started
        margins = plain_margins(trainer.model, tokens, test)
        return {
            "seconds": seconds,
            "padding": 1 - padded[0] / padded[1],
            "tokens": float(padded[0]),
            **held_out(margins, test),
        }


def plain_margins(model: Any, tokens: Any, test: Pairs) -> np.ndarray:
    """Return margins of an unpadded forward."""
    import torch

    model.eval()
    scores = []
    with torch.inference_mode():
        for side in ("chosen", "rejected"):
            rows = [torch.tensor([ids]) for ids in tokens(test, side)]
            scores.append([float(model(input_ids=ids).logits) for ids in rows])
    return np.subtract(*scores)


def simple(file: str, count: int, length: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return the held-out accuracy of simple models on the same rows."""
    encoder = {"kind": "encoder", "params": {"name": "minilm", "max_length": length}}
    linear = {"kind": "linear-head", "inputs": {"model": "encoder", "data": "train"}}
    steps = {
        "encoder": encoder,
        "linear": linear,
        "ngram": {"kind": "ngram-head", "inputs": "train"},
    }
    for name in ("linear", "ngram"):
        steps[f"of-{name}"] = {"kind": "reward", "inputs": {"model": name, "data": "test"}}
    with tempfile.TemporaryDirectory() as store:
        run = rmplug.run(spec_of(file, count, length, seed, **steps), store=store)
        test = run["test"]
        sizes = [
            np.array([sum(len(t["content"]) for t in turns) for turns in test.table[s].to_pylist()])
            for s in ("chosen", "rejected")
        ]
        leads = {n: run[f"of-{n}"].table["margin"].to_numpy() for n in ("linear", "ngram")}
        leads["longer"] = (sizes[0] - sizes[1]).astype(float)
        return {name: held_out(lead, test) for name, lead in leads.items()}


def measure(way: str, file: str, count: int, length: int, seed: int) -> dict[str, Any]:
    """Run one way in a process of its own."""
    words = [sys.executable, __file__, "--way", way, file]
    words += ["--pairs", str(count), "--length", str(length), "--seed", str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def shown(row: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a way, rounded, without those of each pair."""
    return {k: round(v, 3) for k, v in row.items() if k not in ("right", "group")}


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    """Return the paired difference in accuracy over the held-out pairs of all seeds, as text."""
    lead = np.concatenate(
        [np.subtract(a["right"], b["right"]) for a, b in zip(ours, theirs, strict=True)]
    )
    names = [name for row in ours for name in row["group"]]
    estimate = mean(lead.astype(float))
    low, high = estimate.interval(np.unique(names, return_inverse=True)[1])
    return f"{estimate.value:+.3f} [{low:+.3f}, {high:+.3f}], n = {len(lead)}"


def main(given: argparse.Namespace) -> None:
    """Measure each way for each seed, in turn, and print ratios."""
    asked = (given.file, given.pairs, given.length)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in given.ways}
    for seed in range(given.seeds):
        for way in given.ways:
            found[way].append(measure(way, *asked, seed))
            print(seed, way, shown(found[way][-1]), flush=True)
        for name, row in simple(*asked, seed).items():
            print(seed, name, shown(row), flush=True)
    for way, rows in found.items():
        seconds = np.mean([row["seconds"] for row in rows])
        padding = np.mean([row["padding"] for row in rows])
        accuracy = [row["accuracy"] for row in rows]
        print(
            f"{way:<22} {seconds:8.1f} CPU s  padding {padding:6.1%}  accuracy "
            f"{np.mean(accuracy):.3f} ({min(accuracy):.3f}-{max(accuracy):.3f})"
        )
    for other in found:
        if other.startswith("trl") and "rmplug" in found:
            ours, theirs = found["rmplug"], found[other]
            ratios = [t["seconds"] / r["seconds"] for t, r in zip(theirs, ours, strict=True)]
            print(f"rmplug is {np.mean(ratios):.2f} times as fast as {other}")
            print(f"accuracy of rmplug minus that of {other}: {compare(ours, theirs)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--length", type=int, default=512, help="most tokens of a conversation")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.way:
        run_way = by_rmplug if given.way.startswith("rmplug") else by_trl
        print(json.dumps(run_way(given.way, given.file, given.pairs, given.length, given.seed)))
    else:
        main(given)
