"""A gate on disk: its arrays, and the heads and transform to which it belongs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.files import read_json, read_tensors
from rmplug_armorm.heads._heads_file import is_named

from ._gate import TENSORS, AttributeGate, ConstantGate, NetworkGate
from ._trees import TreesGate, read_trees

JSON, FORMAT = "gate.json", 1


def digest_of(*arrays: Array) -> str:
    """Compute the SHA-256 of float64 arrays and their shapes, to identify heads or transforms."""
    digest = sha256()
    for array in arrays:
        values = np.ascontiguousarray(array, dtype=np.float64)
        digest.update(str(values.shape).encode() + values.tobytes())
    return digest.hexdigest()


def write_gate(
    directory: Path,
    gate: AttributeGate,
    names: Sequence[str],
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the gate's arrays and ``gate.json``; ``about`` is stored in the latter."""
    record = {
        "format": FORMAT,
        "kind": gate.kind,
        "names": list(names),
        **gate.save(directory),
        "about": dict(about or {}),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (directory / JSON).write_text(text + "\n", encoding="utf-8")


def read_about(directory: Path) -> dict[str, Any]:
    """Read the record in ``gate.json``."""
    record = read_json(directory / JSON)
    if record.get("format") != FORMAT or not is_named(record):
        raise DataError(f"{directory / JSON} is not the file of a gate, format {FORMAT}")
    return record


def read_gate(directory: Path) -> AttributeGate:
    """Read the gate that ``write_gate`` wrote; raises DataError for any other file."""
    record = read_about(directory)
    if record.get("kind") == TreesGate.kind:
        return read_trees(directory, record["names"])
    tensors = read_tensors(directory / TENSORS)
    if record.get("kind") == ConstantGate.kind and "weights" in tensors:
        return ConstantGate(tensors["weights"])
    temperature = record.get("temperature", 1.0)
    if not isinstance(temperature, int | float) or not temperature > 0:
        raise DataError(
            f"{directory / JSON} has the temperature {temperature!r:.20}, not one above 0"
        )
    return NetworkGate.of_tensors(tensors, float(temperature), record.get("weights") == "signed")
