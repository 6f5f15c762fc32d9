"""What a folder holds, seen without loading it."""

from __future__ import annotations

import json
from pathlib import Path


def is_armorm(source: str) -> bool:
    """Whether a folder's config is that of the released model's layout."""
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    own = isinstance(config, dict) and config.get("model_type") != "interpretable_reward"
    return own and {"num_objectives", "gating_temperature"} <= set(config)
