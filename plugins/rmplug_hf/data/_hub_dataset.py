"""Batches of data sets that `datasets` loads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetsError
from datasets.packaged_modules import _EXTENSION_TO_MODULE
from datasets.utils import logging

from rmplug import DataError
from rmplug.errors import some
from rmplug.models import hub

from ._hub_rows import HubRowConverter, conformed

if TYPE_CHECKING:
    from .hub import HubDataset

BATCH_ROWS = 1000
FILE_KINDS = {"json", "csv", "parquet", "arrow"}


def tables(step: HubDataset) -> Iterator[pa.Table]:
    """Yield batches of pairs or responses, all with the same columns."""
    converter = HubRowConverter(step)
    schema: pa.Schema | None = None
    for split in step.split:
        for table in (converter.table(batch, split) for batch in _batches(step, split)):
            schema = schema or table.schema
            yield conformed(table, schema, converter.named)
            if converter.full:
                return
    converter.finish()


def _batches(step: HubDataset, split: str) -> Iterator[pa.Table]:
    """Yield the rows of a split as Arrow tables; an error of the library becomes one sentence."""
    level, bars = logging.get_verbosity(), datasets.is_progress_bar_enabled()
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield from opened(step, split).with_format("arrow").iter(batch_size=BATCH_ROWS)
    except (DatasetsError, OSError, ValueError, pa.ArrowException) as error:
        raise DataError(_reason(step, split, error)) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def opened(step: HubDataset, split: str) -> Any:
    """Return the split as a data set, iterable only where rows are streamed."""
    if step.path is not None and len(step.path) == 1 and _saved(step.path[0]):
        dataset = datasets.load_from_disk(str(step.path[0]))
        if isinstance(dataset, datasets.DatasetDict):
            _check_split(split, list(dataset))
            dataset = dataset[split]
        return dataset.to_iterable_dataset() if step.streaming else dataset
    commit = None if step.name is None else commit_of(step.name, step.revision)
    builder = datasets.load_dataset_builder(**_arguments(step, commit))
    if commit is not None:
        _check_commit(str(step.name), commit, Path(builder.cache_dir).parts)
    if step.streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare()
    return builder.as_dataset(split=split)


def _saved(path: Path) -> bool:
    """Check whether ``save_to_disk`` wrote the folder."""
    return any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _arguments(step: HubDataset, commit: str | None) -> dict[str, Any]:
    options = {"name": step.config, "data_dir": step.folder}
    if step.name is not None:
        return {**options, "path": step.name, "revision": commit}
    assert step.path is not None
    if len(step.path) == 1 and step.path[0].is_dir():
        return {**options, "path": str(step.path[0])}
    kinds = {_EXTENSION_TO_MODULE.get(path.suffix, (path.suffix, {}))[0] for path in step.path}
    if len(kinds) > 1 or not kinds <= FILE_KINDS:
        raise DataError(
            f"path has files of the types {some(sorted(kinds))}; give files of one type: Parquet, "
            "Arrow, JSON, JSON Lines or CSV"
        )
    kind, more = _EXTENSION_TO_MODULE[step.path[0].suffix]
    return {**options, "path": kind, **more, "data_files": [str(path) for path in step.path]}


def _check_split(split: str, splits: list[str]) -> None:
    if split not in splits:
        raise DataError(f"there is no split {split!r}; it has {some(splits)}")


def _check_commit(name: str, commit: str, parts: Sequence[str]) -> None:
    """Check the commit of a data set loaded offline: the library uses the last one it loaded."""
    held = [part for part in parts if re.fullmatch(r"[0-9a-f]{40}", part) and part != commit]
    if held:
        raise DataError(
            f"the cache holds the commit {held[0]} of {name}, not {commit}; go online, or write "
            "the revision that is there"
        )


def commit_of(name: str, revision: str | None) -> str:
    """Return the commit of a name on the hub: from the hub's cache, else from the hub, else the one
    that `datasets` has a copy of."""
    try:
        return hub.commit_of(name, revision, "dataset")
    except DataError as error:
        held = _prepared(name)
        if revision is None and len(held) == 1:
            return held[0]
        if not held:
            raise
        there = f"; the cache has the commits {some(held)}: write one as revision"
        raise DataError(f"{error}{there}") from error


def _prepared(name: str) -> list[str]:
    """Return the commits that `datasets` has a copy of."""
    namespace, _, last = name.rpartition("/")
    folder = datasets.naming.camelcase_to_snakecase(last)
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "___".join(filter(None, [namespace, folder]))
    names = {str(path.name) for path in cache.glob("*/*/*") if path.is_dir()}
    return sorted(str(commit) for commit in names if re.fullmatch(r"[0-9a-f]{40}", commit))


def _reason(step: HubDataset, split: str, error: Exception) -> str:
    """Return the message of an error of `datasets`, or of its cause, in one line."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = str(error) if isinstance(error, ValueError) else str(cause)
    line = (text.strip().splitlines() or [type(cause).__name__])[0]
    where = step.name or some(map(str, step.path or ()))
    return f"{where} ({split}) cannot be read: {line[:300]}"
