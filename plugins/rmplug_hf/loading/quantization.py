"""The choice of quantized weights, and what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, TypeAlias

from rmplug.errors import some

Quantization: TypeAlias = Literal["none", "nf4", "int8"]
NEEDED = ("bitsandbytes", "accelerate")


def library_versions(quantization: Quantization) -> dict[str, str]:
    """Return the versions of the libraries that quantize weights, of those that are installed;
    none where nothing is quantized."""
    found = {}
    for name in NEEDED if quantization != "none" else ():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def quantization_mistakes(quantization: Quantization, merge: bool) -> Iterator[tuple[str, str]]:
    """Report libraries that are missing, and an adapter to ``merge`` into quantized weights."""
    if quantization == "none":
        return
    missing = [name for name in NEEDED if name not in library_versions(quantization)]
    if missing:
        yield (
            "quantization",
            f"quantization: {quantization} needs {some(missing)}: pip install 'rmplug[quantized]'",
        )
    if merge:
        yield (
            "merge_adapter",
            f"an adapter merged into {quantization} weights is rounded with them and scores "
            "otherwise; leave merge_adapter out",
        )
