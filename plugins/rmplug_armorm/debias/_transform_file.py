"""A linear transform of attribute rewards on disk: a matrix with the names of its attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.files import read_json, read_tensors
from rmplug_armorm.heads._heads_file import is_named

JSON, TENSORS, FORMAT = "transform.json", "transform.safetensors", 1


@dataclass(frozen=True)
class Transform:
    """A linear map: rewards after = rewards before (n, K) @ ``matrix`` (K, K), float64."""

    names: tuple[str, ...]
    matrix: Array

    def __call__(self, rewards: Array) -> Array:
        return np.asarray(rewards, np.float64) @ self.matrix


def write_transform(
    directory: Path, transform: Transform, about: Mapping[str, Any] | None = None
) -> None:
    """Write ``transform.safetensors`` and ``transform.json``; ``about`` is stored in the latter."""
    matrix = np.ascontiguousarray(transform.matrix, dtype=np.float64)
    save_file({"reward_transform_matrix": matrix}, directory / TENSORS)
    record = {"format": FORMAT, "names": list(transform.names), "about": dict(about or {})}
    (directory / JSON).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_transform(directory: Path) -> Transform:
    """Read the transform that ``write_transform`` wrote; raises DataError for any other file."""
    names = tuple(_read_json(directory)["names"])
    matrix = read_tensors(directory / TENSORS).get("reward_transform_matrix")
    if matrix is None or matrix.shape != (len(names), len(names)):
        raise DataError(
            f"{directory / TENSORS} does not hold a {len(names)} x {len(names)} "
            f"reward_transform_matrix for the names in {JSON}; fit the transform again"
        )
    return Transform(names, matrix)


def read_about(directory: Path) -> dict[str, Any]:
    """Read the facts stored beside the transform: its penalties and confounds."""
    return dict(_read_json(directory)["about"])


def _read_json(directory: Path) -> dict[str, Any]:
    record = read_json(directory / JSON)
    if record.get("format") != FORMAT or not is_named(record):
        raise DataError(f"{directory / JSON} is not the file of a transform, format {FORMAT}")
    return record
