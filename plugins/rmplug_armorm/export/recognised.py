"""Recognition of a folder's contents without loading it."""

from __future__ import annotations

from pathlib import Path

from rmplug import DataError
from rmplug.models.files import read_json


def is_armorm(source: str) -> bool:
    """Check whether a folder's config is that of the released model's layout."""
    try:
        config = read_json(Path(source) / "config.json")
    except DataError:
        return False
    own = config.get("model_type") != "interpretable_reward"
    return own and {"num_objectives", "gating_temperature"} <= set(config)
