"""Which states of prompts a gate reads: it keeps a few, and its encoder is asked for them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Checkpoint, DataError, Pairs
from rmplug.arrays import Array
from rmplug.data.messages import message_type
from rmplug.notices import collect_notices
from rmplug_armorm.assembly._given_states import NEAR, spread
from rmplug_armorm.assembly._model import PARTS, Encodes

from ._gate import read_about

KEPT = "prompts"
DIMENSIONS = 256


def few_prompts(data: Pairs, states: Array) -> list[dict[str, Any]]:
    """A few prompts with some of the numbers of their states (rows, width)."""
    rows, at = spread(len(data)), _dimensions(states.shape[1])
    talks = data["prompt"].take(pa.array(rows)).to_pylist()
    kept = np.round(states[rows][:, at].astype(np.float64), 6).tolist()
    return [{"prompt": talk, "state": state} for talk, state in zip(talks, kept, strict=True)]


def prompt_end_of(encoder: Encodes, gate: Checkpoint) -> str:
    """Where prompts end whose states the gate was trained on: the nearer of what the encoder gives
    at the ends of their turns, and before responses."""
    kept = read_about(gate.directory).get("about", {}).get(KEPT)
    if not kept:
        raise DataError(
            f"the gate {gate.name} does not say which states of prompts it reads; train it again"
        )
    far = {end: _distance(encoder, kept, part) for end, part in PARTS.items()}
    nearest = min(far, key=far.__getitem__)
    if not far[nearest] <= NEAR:
        raise DataError(
            f"the gate {gate.name} was trained on other states of prompts than this encoder gives, "
            "at the ends of turns or before responses; ask this encoder with hidden-state, part: "
            "both, and train the gate on that"
        )
    return nearest


def _distance(encoder: Encodes, kept: Sequence[Mapping[str, Any]], part: str) -> float:
    """The greatest, relative to the length of a state."""
    talks = pa.array([entry["prompt"] for entry in kept], message_type())
    ids = pa.array([f"prompt {place}" for place in range(len(kept))])
    rows = pa.RecordBatch.from_arrays([ids, talks], names=["id", "prompt"])
    with collect_notices():  # told already, by the step that asked for the states
        found = np.asarray(encoder.vectors(rows, part), np.float64)
    states = np.array([entry["state"] for entry in kept])
    apart = found[:, _dimensions(found.shape[1])] - states
    return float((np.linalg.norm(apart, axis=1) / np.linalg.norm(states, axis=1)).max())


def _dimensions(width: int) -> Array:
    """Some of so many, from the first to the last."""
    return np.linspace(0, width - 1, min(width, DIMENSIONS)).astype(np.int64)
