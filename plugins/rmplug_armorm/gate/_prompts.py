"""Example prompts that are saved with a gate to identify the states that it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Pairs
from rmplug.arrays import Array

KEPT = "prompts"
CHECKED = 4
DIMENSIONS = 256


def spread_rows(rows: int) -> Array:
    """Choose a few row indices of so many, evenly from the first to the last."""
    return np.unique(np.linspace(0, rows - 1, min(CHECKED, rows)).astype(np.int64))


def spread_dimensions(width: int) -> Array:
    """Choose some dimensions of so many, evenly from the first to the last."""
    return np.linspace(0, width - 1, min(width, DIMENSIONS)).astype(np.int64)


def few_prompts(data: Pairs, states: Array) -> list[dict[str, Any]]:
    """Choose a few prompts with some of the numbers of their states (rows, width)."""
    rows, at = spread_rows(len(data)), spread_dimensions(states.shape[1])
    talks = data["prompt"].take(pa.array(rows)).to_pylist()
    kept = np.round(states[rows][:, at].astype(np.float64), 6).tolist()
    return [{"prompt": talk, "state": state} for talk, state in zip(talks, kept, strict=True)]
