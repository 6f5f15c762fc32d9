"""The modules allowed in a sentence encoder's folder: those that only compute, and safetensors.

The library imports the classes that ``modules.json`` names, and calls what their settings name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rmplug import DataError
from rmplug.errors import some
from rmplug.models.files import parse_json, read_json, tensor_shapes
from rmplug.models.model_folder import check_model_folder
from rmplug.models.settings import check_settings
from rmplug.models.sizes import check_counts

MODULES = "modules.json"
LIBRARY = "sentence_transformers."
KNOWN = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout",
         "WeightedLayerPooling")  # fmt: skip
ELSEWHERE = ("tokenizer_name_or_path", "trust_remote_code", "cache_dir")
"""Settings that have the library read other folders, or run code."""


def check_modules(folder: Path) -> None:
    """Raise DataError for a folder that would run code of its own, read pickles, or read
    outside."""
    check_settings(folder)
    parts = _parts(folder / MODULES) if (folder / MODULES).exists() else [("Transformer", "")]
    for kind, where in parts:
        _check_safetensors(folder / where)
        _check_elsewhere(folder / where)
        if kind == "Transformer":
            check_model_folder(folder / where)
        else:
            _check_module(kind, folder / where)


def _check_elsewhere(folder: Path) -> None:
    for path in folder.glob("sentence_*_config.json"):
        asked = [name for name in ELSEWHERE if _says(read_json(path), name)]
        if asked:
            raise DataError(f"{path} asks for {asked[0]}, which a folder cannot; remove it")


def _check_module(kind: str, folder: Path) -> None:
    """Refuse settings of a module that computes on states which its weights are not of."""
    check_settings(folder)
    if (folder / "config.json").exists():
        check_counts(folder)
    if kind == "Dense":
        _check_dense(folder)


def _parts(path: Path) -> list[tuple[str, str]]:
    """Return the class and the folder of each module: an allowed class, and a folder inside."""
    try:
        modules = parse_json(path.read_bytes())
        named = [(str(module["type"]), str(module["path"])) for module in modules]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not list modules ({error}); download it again") from error
    for kind, where in named:
        if not kind.startswith(LIBRARY) or kind.rpartition(".")[2] not in KNOWN:
            raise DataError(
                f"{path} names the module {kind:.80}; modules of sentence-transformers that only "
                f"compute can be used ({some(KNOWN, 9)})"
            )
        if PurePosixPath(where).is_absolute() or ".." in PurePosixPath(where).parts:
            raise DataError(f"{path} names the folder {where:.80}, which is not inside")
    return [(kind.rpartition(".")[2], where) for kind, where in named]


def _check_dense(folder: Path) -> None:
    path = folder / "config.json"
    settings = read_json(path)
    activation = str(settings.get("activation_function", "torch.nn."))
    if not activation.startswith("torch.nn."):
        raise DataError(f"{path} asks for the function {activation:.80}, which is not of torch.nn")
    weights = folder / "model.safetensors"
    shapes = tensor_shapes(weights) if weights.is_file() else {}
    width, height = (settings.get(name) for name in ("in_features", "out_features"))
    if shapes.get("linear.weight") != (height, width):
        # the library allocates what the settings say before it reads the weights
        raise DataError(
            f"{path} says {width!s:.20} to {height!s:.20} dimensions, which its weights do not "
            "have; copy or download the folder again"
        )


def _check_safetensors(folder: Path) -> None:
    pickles = [*folder.glob("pytorch_model*.bin"), *folder.glob("*.pt")]
    if pickles and not list(folder.glob("*.safetensors")):
        raise DataError(
            f"the weights in {folder} are pickled ({pickles[0].name}), and reading a pickle can "
            "run any code; save them as safetensors"
        )


def _says(settings: Mapping[str, Any], name: str) -> bool:
    inner = (value for value in settings.values() if isinstance(value, Mapping))
    return bool(settings.get(name)) or any(bool(value.get(name)) for value in inner)
