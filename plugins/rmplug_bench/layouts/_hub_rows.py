"""Rows of a data set on the hub, by name, through the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rmplug import DataError
from rmplug.data.row_files import DataFile, Row


def hub_rows(
    name: str, commit: str, configs: Sequence[str], splits: Sequence[str]
) -> Iterator[Row]:
    """Yield every row of the splits of each configuration (without one, of the data set).

    The path of a row's file is the data set's name, the configuration and the split.
    """
    for config in configs or (None,):
        for split in splits:
            file = DataFile(Path(name, config or "", split), split)
            try:
                for number, row in enumerate(_loaded(name, commit, config, split), 1):
                    yield Row(file, None, number, dict(row))
            except (UnicodeDecodeError, pa.ArrowException) as error:
                raise DataError(f"{name} ({split}) cannot be read: {error}") from error


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
