"""The size of a model by its configuration, compared with its weights before it is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from rmplug.errors import DataError

from .files import read_json

Shapes = Mapping[str, tuple[int, ...]]
COUNTS = re.compile(r"(layers?|experts|blocks|labels|heads)$")
MOST = 10_000
"""Layers, experts, labels or heads of a model: libraries build lists of so many."""
MOST_SIZE = 100_000_000
"""Any other whole number of a configuration: libraries build tables of some while they count."""
NO_SIZES = re.compile(r"(theta|base|max_length|seed)$")
"""Numbers that are no sizes: of published models, those of rotary embeddings reach 4e9."""
SLACK = 100_000_000
"""Numbers that a model may have beyond what its weights hold (a head of its own, buffers)."""


def check_counts(folder: Path) -> None:
    """Refuse a configuration that would have a library build endless lists or tables."""
    try:
        numbers = list(_numbers(read_json(folder / "config.json")))
    except RecursionError as error:
        raise DataError(f"config.json in {folder} is nested too deeply") from error
    for name, value in numbers:
        size = isinstance(value, int) and abs(value) > MOST_SIZE and not NO_SIZES.search(name)
        if size or (COUNTS.search(name) and abs(value) > MOST):
            written = f"{name:.60}: {value!s:.40}"
            raise DataError(f"config.json in {folder} says {written}, which no model has")


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a configuration, those in lists by the list's name."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, name)
    elif isinstance(value, int | float):
        yield name, value


def check_size(folder: Path, config: Any, auto: str, shapes: Shapes) -> None:
    """Refuse a configuration of a far larger model than that of the weights: the missing ones would
    be drawn at random, in memory that may not exist."""
    import torch
    import transformers

    held = sum(prod(shape) for shape in shapes.values())
    try:
        with torch.device("meta"):
            model = getattr(transformers, auto).from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever odd numbers make a library raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"config.json in {folder} cannot be used: {line}") from error
    wanted = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    if wanted > 2 * held + SLACK:
        raise DataError(
            f"config.json in {folder} describes a model of {wanted:,} numbers, its weights hold "
            f"{held:,}; config.json and weights are not of the same model"
        )
