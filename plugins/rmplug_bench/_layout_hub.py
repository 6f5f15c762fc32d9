"""Rows of a data set on the hub, by name, through the `datasets` library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rmplug import DataError

from ._layout_files import At, Placed


def hub_rows(
    name: str, commit: str, configs: Sequence[str], splits: Sequence[str]
) -> Iterator[Placed]:
    """Every row of the splits of each configuration (without one, of the data set); a row's source
    is the data set's name, the configuration and the split."""
    for config in configs or (None,):
        for split in splits:
            source = Path(name, config or "", split)
            for number, row in enumerate(_loaded(name, commit, config, split), 1):
                yield At(source, number), dict(row)


def _loaded(name: str, commit: str, config: str | None, split: str) -> Any:
    datasets = _library()
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(name, config, split=split, revision=commit)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} ({split}) cannot be read: {reason[:300]}") from error
    finally:
        if bars:
            datasets.enable_progress_bars()


def commit_of(name: str, revision: str | None) -> str:
    """The commit that a name stands for: as the local cache has it, else as the hub says."""
    _library()
    from huggingface_hub import HfApi, constants

    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    folder = f"datasets--{name.replace('/', '--')}"
    known = Path(constants.HF_HUB_CACHE) / folder / "refs" / (revision or "main")
    if known.is_file():
        return known.read_text(encoding="utf-8").strip()
    try:
        return str(HfApi().dataset_info(name, revision=revision).sha)
    except Exception as error:
        raise DataError(
            f"the hub data set {name} ({revision or 'main'}) is not in the local cache and cannot "
            f"be fetched ({type(error).__name__}); check the name, go online, or give a path"
        ) from error


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "a name on the hub is read with the library datasets; "
            "pip install 'rmplug[hf]', or give a path"
        ) from error
    return datasets
