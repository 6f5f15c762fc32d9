"""The names that linear heads of reward models have in files of weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rmplug import DataError

OWN = r"(v_head|value_head|reward_head|rm_head|regression_head)"
HEAD = re.compile(rf"(.*\.)?({OWN}(\.(0|summary|dense|linear|out))?|score|classifier)\.weight")
"""The weights of a head, whatever stands before."""
SURE = re.compile(rf"(.*\.)?{OWN}(\.\w+)*\.weight")
"""Those that no model of transformers has: a folder with them is recognised."""


def heads_among(names: Iterable[str]) -> list[str]:
    """List the names that a head's weights have."""
    return sorted(name for name in names if HEAD.fullmatch(name))


def folder_has_head(source: str) -> bool:
    """Check whether the safetensors of a folder hold a head beside a transformer."""
    from rmplug.models.weights import check_weights

    try:
        shapes = check_weights(Path(source), allow_pickle=False) or {}
    except (DataError, OSError):
        return False
    return any(SURE.fullmatch(name) and len(shape) == 2 for name, shape in shapes.items())
