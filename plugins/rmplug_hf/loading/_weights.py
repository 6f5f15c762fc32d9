"""What the files of a model hold, looked at before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rmplug import DataError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "adapter_model.bin", "model.ckpt*", "flax_model*", "*.pt", "*.pth")
POINTER = b"version https://git-lfs"


def check_weights(folder: Path, allow_pickle: bool) -> bool:
    """Whether the folder's weights are safetensors, all there and whole; pickle files are refused
    unless allowed."""
    if (folder / SINGLE).is_file():
        read_header(folder / SINGLE)
        return True
    if (folder / INDEX).is_file():
        for name in _shards(folder / INDEX):
            read_header(folder / name)
        return True
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles and allow_pickle:
        return False
    if pickles:
        raise DataError(pickle_sentence(folder, pickles[0]))
    raise DataError(f"{folder} has no weights: neither {SINGLE} nor {INDEX} is there")


def pickle_sentence(folder: Path, name: str) -> str:
    """Why a pickle file is not read, and what to do."""
    return (
        f"the weights in {folder} are pickled ({name}), and reading a pickle can run any code; "
        "save them as safetensors, or set allow_pickle_weights: true if you trust them"
    )


def _shards(index: Path) -> list[str]:
    names = sorted(set(read_json(index).get("weight_map", {}).values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing or not names:
        raise DataError(
            f"{index.parent} lacks {len(missing)} of {len(names)} files of weights that {INDEX} "
            f"names ({', '.join(missing[:3])}); copy or download the folder again"
        )
    return names


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a safetensors file that is whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start == POINTER[:8]:
            raise DataError(f"{path} is only a Git LFS pointer; fetch the file with git lfs pull")
        length = int.from_bytes(start, "little")
        header = file.read(length) if 8 + length <= size else b""
    try:
        entries: dict[str, Any] = json.loads(header)
    except ValueError as error:
        raise DataError(_damaged(path, "its list of tensors cannot be read")) from error
    tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
    whole = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if size < whole:
        raise DataError(_damaged(path, f"{size:,} of {whole:,} bytes are there"))
    return {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is cut short or damaged: {reason}; copy or download it again"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no JSON file ({error}); copy or download it again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} must hold one JSON object")
    return found
