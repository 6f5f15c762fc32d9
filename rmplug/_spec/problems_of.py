"""The problems of a spec, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry, discover
from rmplug.errors import Problem, SpecError

from .check import open_spec


def check(
    spec: str | Path | Mapping[str, Any],
    *,
    assign: Sequence[str] = (),
    registry: Registry | None = None,
) -> list[Problem]:
    """Return all problems of a spec file, or of the same as Python data: none if it will run.

    ``assign``: assignments such as ``"steps.pairs.params.limit=100"``. Each problem has its
    ``message``, its ``path`` in the spec, and its ``file``, ``line`` and ``column`` (from 1).
    Nothing heavy is loaded, and nothing is run.
    """
    try:
        open_spec(spec, assign, registry or discover())
    except SpecError as error:
        return list(error.problems)
    return []
