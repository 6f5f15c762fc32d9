"""Rows of a data set on the hub, by name, through the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rmplug import DataError

from ._files import At, Placed


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


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "a name on the hub is read with the library datasets; "
            "pip install 'rmplug[hf]', or give a path"
        ) from error
    return datasets
