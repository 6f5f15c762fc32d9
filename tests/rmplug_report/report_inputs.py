"""Inputs of reports: small and believable, hostile, and many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from rmplug import Checkpoint, Estimator, Features, Fit, Metrics, Pairs, PlanStep, PlanView
from rmplug.notices import Notice
from rmplug_report import Html

WORDS = """
the a of to and in that it is for you with on as are be this from at or have an by not we can will
your model answer question because water light music garden river market history number reason
simple careful better first second between under never always paper stone
""".split()  # noqa: SIM905


class Lines(Estimator):
    """Stands for any estimator."""

    kind = "lines"

    @classmethod
    def open(cls, directory: Path):
        raise NotImplementedError


def sentences(rng, lengths):
    """Texts of so many words each."""
    words = np.array(WORDS)[rng.integers(0, len(WORDS), int(lengths.sum()))]
    ends = np.cumsum(lengths)
    return [" ".join(words[end - size : end]) for end, size in zip(ends, lengths, strict=True)]


def pairs_of(count, seed=0, words=30):
    rng = np.random.default_rng(seed)
    columns = {"id": [f"pair-{i:05d}" for i in range(count)]}
    for name in ("prompt", "chosen", "rejected"):
        columns[name] = sentences(rng, rng.integers(3, 2 * words, count))
    columns["subset"] = [("facts", "code", "tone")[i % 3] for i in range(count)]
    return Pairs(columns, name="pairs")


def reward_of(pairs, name="reward", seed=1):
    rng = np.random.default_rng(seed)
    chosen, rejected = rng.normal(0.5, 1, len(pairs)), rng.normal(0, 1, len(pairs))
    ids = {"id": pairs["id"], "group": pairs["group"]}
    return Features(
        {**ids, "chosen": chosen, "rejected": rejected, "margin": chosen - rejected}, name
    )


def metrics_of(*rows, name="accuracy"):
    """Rows of ``(model, kind, metric, subset, value, low, high, n)``."""
    keys = ("model", "kind", "metric", "subset", "value", "low", "high", "n")
    table = [dict(zip(keys, row, strict=True)) for row in rows]
    columns = {key: [row[key] for row in table] for key in keys}
    for key in ("value", "low", "high"):
        columns[key] = pa.array(columns[key], pa.float64())
    return Metrics(columns, name)


ACCURACY = (
    ("reward", "model", "accuracy", "all", 0.613, 0.579, 0.646, 300),
    ("reward", "model", "accuracy", "facts", 0.70, 0.62, 0.78, 100),
    ("reward", "model", "accuracy", "code", 0.50, 0.41, 0.59, 100),
    ("reward", "model", "accuracy", "tone", 0.64, 0.55, 0.73, 100),
    ("reward", "model", "accuracy-over-longer", "all", 0.075, 0.02, 0.13, 300),
    ("reward", "model", "ece", "all", 0.12, None, None, 300),
    ("reward", "model", "reliability", "bin-02", 0.52, 0.45, 0.59, 200),
    ("reward", "model", "confidence", "bin-02", 0.57, None, None, 200),
    ("reward", "model", "reliability", "bin-10", 0.80, 0.71, 0.88, 100),
    ("reward", "model", "confidence", "bin-10", 0.97, None, None, 100),
    ("longer", "baseline", "accuracy", "all", 0.538, 0.50, 0.57, 300),
    ("longer", "baseline", "accuracy", "code", 0.55, 0.46, 0.64, 100),
    ("random", "baseline", "accuracy", "all", 0.5, None, None, 300),
)


def fit_of(directory, pairs, name="why", of="words.difference"):
    rng = np.random.default_rng(2)
    features = [f"{of}.{one}" for one in ("characters", "hedges", "digits")]
    target = rng.normal(size=len(pairs))
    curve = np.linspace(-2, 2, 9)
    tables = {
        "importance": pa.table(
            {"feature": features, "importance": [0.4, 0.1, 0.0],
             "low": [0.3, 0.05, -0.02], "high": [0.5, 0.15, 0.02]}
        ),
        "coefficients": pa.table(
            {"feature": features, "coefficient": [0.6, -0.2, 0.01],
             "low": [0.5, -0.3, -0.1], "high": [0.7, -0.1, 0.12],
             "per": ["ten characters"] * 3}
        ),
        "dependence": pa.table(
            {"feature": np.repeat(features[:2], 9), "x": np.tile(curve, 2),
             "y": np.concatenate([np.tanh(curve), -0.2 * curve])}
        ),
        "rows": pa.table(
            {"id": pairs["id"], "group": pairs["group"], "target": target,
             "prediction": target * 0.5, "residual": target * 0.5}
        ),
    }  # fmt: skip
    number = {"subset": "all", "n": len(pairs)}
    numbers = [
        {"metric": "r2", "value": 0.283, "low": 0.221, "high": 0.332, **number},
        {"metric": "mae", "value": 0.81, "low": 0.78, "high": 0.85, **number},
        {"metric": "mae-of-mean", "value": 0.98, "low": 0.95, "high": 1.01, **number},
    ]
    return Fit(directory, Lines, numbers, tables, name)


def checkpoint_of(directory, name="train"):
    numbers = [
        {"metric": "loss", "subset": part, "value": 0.7 - 0.01 * i, "low": None, "high": None,
         "n": 10, "step": i}
        for part in ("train", "held-out")
        for i in range(10)
    ]  # fmt: skip
    return Checkpoint(directory, Lines, numbers, name)


def step(id, kind, family, inputs=None, notices=(), gives="Features"):
    return PlanStep(id, kind, family, "Does it.", inputs or {}, {}, gives, 300, notices)


PLAN = PlanView(
    "what-drives-the-margin",
    13,
    [
        step("pairs", "pairs-file", "dataset loader",
             notices=[Notice("empty response", "kept", 6, ["pair-00001", "pair-00007"])]),
        step("train", "ngram-head", "trainer", {"data": ["pairs"]}),
        step("reward", "reward", "query strategy", {"model": ["train"], "data": ["pairs"]}),
        step("words", "lexical", "feature computer", {"data": ["pairs"]}),
        step("why", "sklearn", "estimator", {"features": ["words"], "target": ["reward.margin"]}),
        step("accuracy", "pairwise", "evaluator", {"data": ["pairs"], "rewards": ["reward"]}),
    ],
)  # fmt: skip


def everything(directory):
    """One of each artifact a report shows."""
    pairs = pairs_of(300)
    return [
        pairs,
        reward_of(pairs),
        fit_of(directory, pairs),
        metrics_of(*ACCURACY),
        checkpoint_of(directory),
    ]


HOSTILE = {
    "script": "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>",
    "end": "</script><script>window.hacked = 3</script><!-- <script> -->",
    "endless": "w" * 1_000_000,
    "marks": "\u202eevil\u202c \u2067right to left\u2069 العربية",
    "control": "nul\x00 bell\x07 escape\x1b[31m delete\x7f\u2028\u2029\ufffe",
    "empty": "",
}


def hostile():
    names = list(HOSTILE)
    texts = list(HOSTILE.values())
    return Pairs(
        {
            "id": [f"{name}</script>" for name in names],
            "prompt": texts,
            "chosen": texts,
            "rejected": texts[::-1],
            "subset": ["</script><b>bold", "$x_1^{2}$", "a" * 300, "\u202eleft", "nul\x00", "漢字"],
        }
    )


def report(items, directory, plan=PLAN, **params):
    directory.mkdir(parents=True)
    return Html(**params).report(items, directory=directory, plan=plan)
