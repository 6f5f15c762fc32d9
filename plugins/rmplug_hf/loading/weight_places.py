"""Files of weights beside a model's folder: what a spec may name, judged by the name alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

from rmplug.families import Reads
from rmplug.models.weights import INDEX, SINGLE, pickle_sentence

WeightsPath: TypeAlias = Annotated[Path, Reads(awaited=True)]
"""A file of weights, or a folder with safetensors; one that is not there is told in its own
words."""
URL = re.compile(r"(?:^|/)(https?|s3|gs|hf):/+(.*)")
PICKLED = (".pt", ".pth", ".bin", ".ckpt")


def weights_mistake(path: Path, allow_pickle: bool) -> str | None:
    """Return what is wrong with a path of weights; None without a fault that its name tells."""
    url = URL.search(path.as_posix())
    if url is not None:
        return (
            f"{url[1]}://{url[2]:.120} is a URL, and only names on the hub are fetched (name); "
            "download the file, read where it comes from, and write its path"
        )
    if not path.exists():
        return f"no such file or folder: {path}"
    if path.is_dir():
        if (path / SINGLE).is_file() or (path / INDEX).is_file():
            return None
        return f"{path} has no weights: neither {SINGLE} nor {INDEX} is there; name the file"
    if path.suffix == ".safetensors":
        return None
    if path.suffix not in PICKLED:
        return f"{path.name} is no file of weights; give .safetensors, or {', '.join(PICKLED)}"
    return None if allow_pickle else pickle_sentence(path.parent, path.name)
