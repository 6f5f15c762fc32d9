"""States with planted attribute heads, and reference cases where the shared folder has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmplug import Features

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)


def reference_case(name: str) -> Path:
    """The folder or file of a case; skips the test where it is absent."""
    found = SHARED.parent / "golden" / "armorm" / name
    if not found.exists():
        pytest.skip(f"the reference case {name} is not in the shared folder")
    return found


def planted(
    rows: int = 240, width: int = 12, attributes: int = 3, noise: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States (rows, width), labels (rows, attributes) and the weights behind them."""
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((rows, width)) + 1
    weights = rng.standard_normal((width, attributes)) / np.sqrt(width)
    labels = states @ weights + noise * rng.standard_normal((rows, attributes))
    return states, labels, weights


def features(columns: dict[str, Any], name: str, groups: Sequence[str] | None = None) -> Features:
    """Features with ids 0, 1, … of the columns given."""
    count = len(next(iter(columns.values())))
    ids = [str(row) for row in range(count)]
    return Features({"id": ids, "group": list(groups or ids), **columns}, name)


def values(numbers: Sequence[dict[str, Any]], metric: str) -> dict[str, float]:
    """The values of a metric by subset."""
    return {row["subset"]: row["value"] for row in numbers if row["metric"] == metric}
