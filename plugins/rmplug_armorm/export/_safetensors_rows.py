"""Rows of a tensor in a safetensors file, read and written a batch at a time, bfloat16 included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.files import parse_json, tensor_shapes

STORED = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True)
class Tensor:
    """The location of a tensor in a file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int

    def rows(self, start: int, stop: int) -> Array:
        """Read some rows as float32 (float64 stays); the file is mapped only during the call."""
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        stored = np.dtype(STORED[self.dtype])
        if stop <= start or not width:
            return np.zeros((max(stop - start, 0), *self.shape[1:]), np.float32)
        mapped = np.memmap(
            self.file,
            stored,
            "r",
            self.offset + start * width * stored.itemsize,
            (stop - start, *self.shape[1:]),
        )
        if self.dtype == "BF16":
            wide: Array = np.left_shift(mapped, 16, dtype=np.uint32)
            return wide.view(np.float32)
        return np.array(mapped, np.float64 if self.dtype == "F64" else np.float32)


def tensors_in(file: Path) -> dict[str, Tensor]:
    """List the tensors of a safetensors file by name."""
    try:
        shapes = tensor_shapes(file)
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            entries = parse_json(stream.read(length))
        return {
            name: _tensor(file, name, entries[name], shape, 8 + length)
            for name, shape in shapes.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not a whole safetensors file: {error}") from None


def _tensor(file: Path, name: str, entry: Any, shape: tuple[int, ...], data: int) -> Tensor:
    start, end = entry["data_offsets"]
    stored = STORED.get(entry["dtype"])
    if stored is None or not shape:
        raise ValueError(f"{name} is {entry['dtype']}; rows are {', '.join(STORED)}")
    if end - start != prod(shape) * np.dtype(stored).itemsize:
        raise ValueError(f"{name} has another size than its shape says")
    return Tensor(file, entry["dtype"], shape, data + start)


def write_tensors(
    file: Path,
    tensors: Mapping[str, tuple[str, Sequence[int]]],
    values: Mapping[str, Iterable[Array]],
) -> None:
    """Write tensors of these dtypes and shapes, each from batches of its rows."""
    entries: dict[str, Any] = {}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(STORED[dtype]).itemsize
        entries[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        for name, (dtype, _) in tensors.items():
            for batch in values[name]:
                stream.write(_stored(batch, dtype).tobytes())


def _stored(values: Array, dtype: str) -> Array:
    if dtype != "BF16":
        return values.astype(STORED[dtype])
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2")
