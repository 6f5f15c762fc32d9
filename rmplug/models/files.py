"""Files that describe a model or hold its numbers, read within bounds: they may be a stranger's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.errors import DataError

if TYPE_CHECKING:
    import numpy as np

MOST_JSON = 64_000_000
"""Bytes of a JSON file; the longest index of shards of a published model has about 10 MB."""
MOST_HEADER = 100_000_000
"""Bytes of the list of tensors in a safetensors file, as the format itself allows."""

MOST_DIMENSIONS, MOST_NUMBER = 16, 2**48
"""Dimensions of a tensor, and what a length or an offset in its file stays below: products of
numbers of thousands of digits would take hours."""


def read_json(path: Path) -> dict[str, Any]:
    """Read the one object that a JSON file holds. Raises DataError for anything else: a file that
    is not there, too long, nested too deeply, or no file at all (a pipe, a device)."""
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        if path.stat().st_size > MOST_JSON:
            raise ValueError(f"more than {MOST_JSON:,} bytes")
        value = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no JSON file ({error}); copy or download it again") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold one JSON object")
    return value


def parse_json(text: bytes) -> Any:
    """Parse the value of a JSON text. Raises ValueError for a text that is none, nested too deeply,
    or with half of a surrogate pair, on which tokenizers break."""
    try:
        value = json.loads(text.decode("utf-8"))
        if b"\\ud" in text or b"\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of each tensor in a safetensors file; the file must be whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(size - 8, MOST_HEADER) else b""
    try:
        entries = parse_json(header)
        spans = {name: _span(entry) for name, entry in entries.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(damaged(path, "its list of tensors cannot be read")) from error
    whole = 8 + length + max((end for _, end in spans.values()), default=0)
    if size < whole:
        raise DataError(damaged(path, f"{size:,} of {whole:,} bytes are there"))
    return {name: shape for name, (shape, _) in spans.items()}


def _span(entry: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """Return the shape of a tensor, and where its bytes end; whole numbers within bounds."""
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError("a shape has too many dimensions")
    numbers = (*shape, start, end)
    if not all(type(number) is int and 0 <= number < MOST_NUMBER for number in numbers):
        raise ValueError("a shape or an offset is no whole number within bounds")
    return shape, end


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file as NumPy arrays, all of them floating-point."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, np.ndarray] = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(damaged(path, str(error).partition("\n")[0])) from error
    for name, values in tensors.items():
        if not np.issubdtype(values.dtype, np.floating):
            raise DataError(f"{name} in {path} is of {values.dtype}, not of floating-point numbers")
    return tensors


def damaged(path: Path, reason: str) -> str:
    """Return the message for a file whose bytes are not what they should be."""
    return f"{path} is cut short or damaged: {reason}; copy or download it again"
