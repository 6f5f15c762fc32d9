"""The end of the prompts whose states a gate reads, detected by encoding a few of them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Checkpoint, DataError
from rmplug.data.messages import message_type
from rmplug.models.head_encoders import NEAR
from rmplug.models.state_encoder import StateEncoder
from rmplug.notices import collect_notices
from rmplug_armorm.gate._gate_file import read_about
from rmplug_armorm.gate._prompts import KEPT, spread_dimensions

from ._model import PARTS


def prompt_end_of(encoder: StateEncoder, gate: Checkpoint) -> str:
    """Return the end of the prompts on which the gate was trained: the nearer of the encoder's
    states at the ends of their turns, and before responses."""
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


def _distance(encoder: StateEncoder, kept: Sequence[Mapping[str, Any]], part: str) -> float:
    """Return the greatest distance relative to the length of a state."""
    talks = pa.array([entry["prompt"] for entry in kept], message_type())
    ids = pa.array([f"prompt {number}" for number in range(len(kept))])
    rows = pa.RecordBatch.from_arrays([ids, talks], names=["id", "prompt"])
    with collect_notices():  # the step that computed them reported these
        recomputed = np.asarray(encoder.vectors(rows, part), np.float64)
    states = np.array([entry["state"] for entry in kept])
    differences = recomputed[:, spread_dimensions(recomputed.shape[1])] - states
    return float((np.linalg.norm(differences, axis=1) / np.linalg.norm(states, axis=1)).max())
