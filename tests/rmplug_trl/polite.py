"""A preference that tiny models learn in seconds: polite openings are better than rude ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rmplug import Artifact, Checkpoint, Pairs, Responses, RewardModel
from rmplug.testing import run_step
from rmplug.testing.tiny_models import Architecture, tiny_model
from rmplug_hf.loading.loaders import SequenceClassifier
from rmplug_trl.reward_models.reward_model import RewardModelTrainer

POLITE = ("Certainly", "Of course", "Gladly", "With pleasure")
RUDE = ("Go away", "No way", "Whatever", "Who cares")


def polite_pairs(count: int, seed: int = 0, **further: list[Any]) -> Pairs:
    """Return pairs with prompts of their own and answers of different lengths."""
    draw = np.random.default_rng(seed)
    tails = [" and so on" * int(n) for n in draw.integers(1, 6, size=2 * count)]
    columns: dict[str, list[Any]] = {
        "id": [f"{seed}-{n}" for n in range(count)],
        "prompt": [f"Question {seed} {n}?" for n in range(count)],
        "chosen": [draw.choice(POLITE) + tail for tail in tails[:count]],
        "rejected": [draw.choice(RUDE) + tail for tail in tails[count:]],
    }
    return Pairs({**columns, **further}, f"pairs-{seed}")


def polite_lists(prompts: int, seed: int = 0) -> Responses:
    """Return three responses to each prompt, with a rank, and a rating that some lack."""
    rows: list[dict[str, Any]] = []
    for n in range(prompts):
        texts = (POLITE[n % 4], "Perhaps", RUDE[n % 4])
        for rank, text in enumerate(texts):
            rating = None if (n + rank) % 5 == 0 else 2.0 - rank
            rows.append(
                {
                    "id": f"{seed}-{n}-{rank}",
                    "prompt": f"Question {seed} {n}?",
                    "response": text,
                    "rank": rank,
                    "ratings.manners": rating,
                    "ratings.length": float(len(text)) / 10,
                }
            )
    return Responses({name: [row[name] for row in rows] for name in rows[0]}, f"lists-{seed}")


def base_of(
    architecture: Architecture, folder: Path, outputs: tuple[str, ...] | None = None, **more: Any
) -> SequenceClassifier:
    """Return the loader of a tiny model without a head."""
    encoder = architecture == "bert"
    path = tiny_model(architecture, folder, head="none" if encoder else "lm")
    template = {"template": "pair"} if encoder else {}
    return SequenceClassifier(path=path, head="new", outputs=outputs, **template, **more)


FAST: Mapping[str, Any] = {"learning_rate": 3e-3, "num_train_epochs": 4, "logging_steps": 4}


def trained(
    architecture: Architecture,
    tmp_path: Path,
    data: Pairs | Responses | None = None,
    validation: Pairs | Responses | None = None,
    base: RewardModel | None = None,
    seed: int = 5,
    **params: Any,
) -> Checkpoint:
    """Train a tiny model through the store, as a run does."""
    model = base or base_of(architecture, tmp_path.parent / "models").load()
    inputs: dict[str, Artifact] = {"model": model, "data": data or polite_pairs(48)}
    if validation is not None:
        inputs["validation"] = validation
    step = RewardModelTrainer(**{**FAST, **params})
    made = run_step(step, inputs, tmp_path / "store", seed=seed)
    assert isinstance(made, Checkpoint)
    return made


def number_of(made: Checkpoint, metric: str, subset: str = "all") -> dict[str, Any]:
    """Return the number of a training that has no step."""
    [found] = [
        row
        for row in made.numbers
        if (row["metric"], row["subset"]) == (metric, subset) and "step" not in row
    ]
    return found


def losses_of(made: Checkpoint) -> list[float]:
    """Return the training's losses over its steps."""
    rows = [row for row in made.numbers if row["subset"] == "training" and "step" in row]
    return [row["value"] for row in rows if row["metric"] != "mean_reward"]
