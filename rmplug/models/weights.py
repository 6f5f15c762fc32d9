"""The contents of a model's weight files, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rmplug.errors import DataError

from .files import read_json, tensor_shapes

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "adapter_model.bin", "model.ckpt*", "flax_model*", "*.pt", "*.pth")
POINTER = b"version https://git-lfs"


def check_weights(folder: Path, allow_pickle: bool) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of the folder's weights by name, from safetensors that are all present and
    complete; None for pickle files, which are refused unless allowed."""
    if (folder / SINGLE).is_file():
        return read_header(folder / SINGLE)
    if (folder / INDEX).is_file():
        shards = [read_header(file) for file in weight_files(folder)]
        return {name: shape for shard in shards for name, shape in shard.items()}
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles and allow_pickle:
        return None
    if pickles:
        raise DataError(pickle_sentence(folder, pickles[0]))
    raise DataError(f"{folder} has no weights: neither {SINGLE} nor {INDEX} is there")


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a folder: one, or those that its index names."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    return [folder / name for name in _shards(folder / INDEX)]


def pickle_sentence(folder: Path, name: str) -> str:
    """Return the message that refuses a pickle file, with a remedy."""
    return (
        f"the weights in {folder} are pickled ({name}), and reading a pickle can run any code; "
        "save them as safetensors, or set allow_pickle_weights: true if you trust them"
    )


def _shards(index: Path) -> list[str]:
    shards = read_json(index).get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise DataError(f"{index} names the file {outside[0]:.80}, which is not in its folder")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing or not names:
        raise DataError(
            f"{index.parent} lacks {len(missing)} of {len(names)} files of weights that {INDEX} "
            f"names ({', '.join(missing[:3])}); copy or download the folder again"
        )
    return names


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of each tensor in a complete safetensors file."""
    with path.open("rb") as file:
        if file.read(8) == POINTER[:8]:
            raise DataError(f"{path} is only a Git LFS pointer; fetch the file with git lfs pull")
    return tensor_shapes(path)


def is_plain_tensor(values: Any, size: int) -> bool:
    """Check that a value of a pickle is a tensor of real numbers, all of them in a file of ``size``
    bytes: one number can stand for as many as memory cannot hold."""
    import torch

    if not isinstance(values, torch.Tensor) or values.is_quantized or values.is_complex():
        return False
    here = values.layout == torch.strided and not values.is_meta
    return bool(here and values.numel() * values.element_size() <= size)
