"""A gate on disk: its numbers, and what they are of."""

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
    """SHA-256 of float64 numbers and their shapes: which heads a gate was trained on."""
    found = sha256()
    for array in arrays:
        values = np.ascontiguousarray(array, dtype=np.float64)
        found.update(str(values.shape).encode() + values.tobytes())
    return found.hexdigest()


def write_gate(
    directory: Path,
    gate: AttributeGate,
    names: Sequence[str],
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes the gate's numbers and ``gate.json``; ``about`` is kept beside the names."""
    said = {
        "format": FORMAT,
        "kind": gate.kind,
        "names": list(names),
        **gate.save(directory),
        "about": dict(about or {}),
    }
    text = json.dumps(said, indent=2, ensure_ascii=False)
    (directory / JSON).write_text(text + "\n", encoding="utf-8")


def read_about(directory: Path) -> dict[str, Any]:
    """All that ``gate.json`` says."""
    found = read_json(directory / JSON)
    if found.get("format") != FORMAT or not is_named(found):
        raise DataError(f"{directory / JSON} is not the file of a gate, format {FORMAT}")
    return found


def read_gate(directory: Path) -> AttributeGate:
    """The gate that ``write_gate`` wrote; anything else is refused."""
    said = read_about(directory)
    if said.get("kind") == TreesGate.kind:
        return read_trees(directory, said["names"])
    tensors = read_tensors(directory / TENSORS)
    if said.get("kind") == ConstantGate.kind and "weights" in tensors:
        return ConstantGate(tensors["weights"])
    temperature = said.get("temperature", 1.0)
    if not isinstance(temperature, int | float) or not temperature > 0:
        raise DataError(
            f"{directory / JSON} has the temperature {temperature!r:.20}, not one above 0"
        )
    return NetworkGate.of_tensors(tensors, float(temperature), said.get("weights") == "signed")
