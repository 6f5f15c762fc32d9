"""Small policies, and rewards whose target is known."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rmplug
from rmplug import Observer, RewardModel
from rmplug.data.messages import text_of
from rmplug.records import StepRecord
from rmplug.testing import run_step
from rmplug_hf.small_models.small_models import SmallModel


def small_policy(folder: Path, architecture: str = "gpt2", data: Any = None, **params: Any) -> Any:
    """Return the checkpoint of a small language model."""
    sizes = {"vocab_size": 300, "hidden_size": 32, "max_position_embeddings": 256}
    step = SmallModel(architecture=architecture, opens_as="causal-lm", **{**sizes, **params})
    return run_step(step, {} if data is None else {"data": data}, folder)


class Capitals(RewardModel):
    """The share of a response's characters that are capital letters."""

    def score(self, responses: Any) -> Any:
        texts = text_of(responses.column("response")).to_pylist()
        return np.array([sum("A" <= c <= "Z" for c in t) / max(len(t), 1) for t in texts])


class Shortness(RewardModel):
    """Minus the characters of a response, in hundreds."""

    def score(self, responses: Any) -> Any:
        texts = text_of(responses.column("response")).to_pylist()
        return np.array([-len(text) / 100 for text in texts])


class Loaded(RewardModel):
    """A policy in a folder, loaded anew for each training, as in a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reload(self) -> RewardModel:
        return SmallModel.open(self.folder)

    open = reload

    def score(self, responses: Any) -> Any:
        raise AssertionError("open the model first")


def values(checkpoint: Any, metric: str) -> list[float]:
    """Return the values of a curve of a checkpoint, in order of steps."""
    rows = [row for row in checkpoint.numbers if row["metric"] == metric]
    return [row["value"] for row in sorted(rows, key=lambda row: row.get("step", 0))]


class Killing(Observer):
    """Kill this process with SIGKILL at a step of the training."""

    kind = "killing"

    at: int
    """The step to be killed at."""

    def step_progress(self, step: StepRecord, done: int, total: int | None) -> None:
        if step.id == "trained" and done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def spec_of(kind: str, inputs: Mapping[str, Any], **params: Any) -> dict[str, Any]:
    """Return a spec that trains a small policy."""
    sizes = {"vocab_size": 300, "hidden_size": 16, "max_position_embeddings": 256}
    made = {"kind": "small-model", "params": {"opens_as": "causal-lm", **sizes}}
    head = {"kind": "ngram-head", "inputs": "pairs", "params": {"folds": 2, "l2": [0.1]}}
    return {
        "name": "small-policies",
        "seed": 3,
        "steps": {
            "pairs": {"kind": "synthetic", "params": {"size": 24}},
            "policy": made,
            "head": head,
            "trained": {"kind": kind, "inputs": {"policy": "policy", **inputs}, "params": params},
        },
    }


def run_until_killed(spec: Mapping[str, Any], store: Path, at: int) -> None:
    """Run a spec in this process, which ends by SIGKILL at a step of the training."""
    rmplug.run(spec, store=store, observers=[Killing(at=at)])
