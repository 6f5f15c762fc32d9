"""Embeddings of the published scripts: the files of a data set, and their contents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_armorm.heads._states import matrix_of

from ._published_attributes import PUBLISHED
from ._safetensors_rows import Tensor, tensors_in, write_tensors

SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
ROWS = 4096


@dataclass(frozen=True)
class EmbeddingsSet:
    """One data set: its name, and the tensors of its files in order."""

    name: str
    files: tuple[Mapping[str, Tensor], ...]

    @property
    def pairs(self) -> bool:
        return len(self.files[0]["embeddings"].shape) == 3

    @property
    def width(self) -> int:
        return self.files[0]["embeddings"].shape[-1]

    def __len__(self) -> int:
        return sum(tensors["embeddings"].shape[0] for tensors in self.files)

    def batches(self, rows: int = ROWS) -> Iterator[dict[str, Array]]:
        """Read the tensors by name, some rows at a time; a file without rows gives one batch."""
        for tensors in self.files:
            length = tensors["embeddings"].shape[0]
            for start in range(0, max(length, 1), rows):
                stop = min(start + rows, length)
                yield {name: tensor.rows(start, stop) for name, tensor in tensors.items()}


def open_set(paths: Sequence[Path]) -> EmbeddingsSet:
    """Open the data set of these files; raises DataError for files of several, or a missing
    shard."""
    name, files = _whole(paths)
    expected = ("embeddings", "labels", "prompt_embeddings")
    tensors = [{n: t for n, t in tensors_in(file).items() if n in expected} for file in files]
    for file, contents in zip(files, tensors, strict=True):
        _check_shapes(file, contents, tensors[0])
    return EmbeddingsSet(name, tuple(tensors))


def _whole(paths: Sequence[Path]) -> tuple[str, list[Path]]:
    """Return the name of the data set, and its shards in order."""
    files = sorted(paths, key=lambda path: path.name)
    shards = [SHARD.fullmatch(path.name.removesuffix(".safetensors")) for path in files]
    if len(files) == 1 and shards[0] is None:
        return files[0].name.removesuffix(".safetensors"), files
    odd = [path.name for path, match in zip(files, shards, strict=True) if match is None]
    if odd:
        raise DataError(
            f"{some(odd)} is not named like a shard, <name>-00001-of-0000N.safetensors, and would "
            "mix with the others; give the files of one data set"
        )
    matches = [match for match in shards if match is not None]
    sets = sorted({f"{m['name']}-…-of-{m['count']}" for m in matches})
    if len(sets) > 1:
        raise DataError(
            f"the files belong to {len(sets)} data sets ({some(sets)}); give those of one, such as "
            f"{matches[0]['name']}-0*-of-{matches[0]['count']}.safetensors"
        )
    count = int(matches[0]["count"])
    numbers = [int(m["number"]) for m in matches]
    missing = sorted(set(range(1, count + 1)) - set(numbers))
    if missing or len(numbers) != count:
        problem = (
            f"lacks shard {some([str(n) for n in missing])}" if missing else "has shards twice"
        )
        raise DataError(f"{matches[0]['name']} {problem} of {count}; give all its files, each once")
    return matches[0]["name"], files


def _check_shapes(file: Path, tensors: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> None:
    if "embeddings" not in tensors or len(tensors["embeddings"].shape) not in (2, 3):
        raise DataError(f"{file} has no tensor embeddings of shape (n, d) or (n, 2, d)")
    states = tensors["embeddings"].shape
    if 0 in states[1:]:
        raise DataError(f"{file} has embeddings without numbers, of shape {states}")
    if len(states) == 3 and states[1] != 2:
        raise DataError(f"{file}: embeddings has shape {states}; pairs are (n, 2, d)")
    other = {name: tensor.shape[1:] for name, tensor in tensors.items()}
    if other != {name: tensor.shape[1:] for name, tensor in first.items()}:
        raise DataError(f"{file} has other tensors or widths than the first shard; embed it again")
    fits = {"labels": len(states) == 2, "prompt_embeddings": len(states) == 3}
    for name in set(tensors) - {"embeddings"}:
        if tensors[name].shape[0] != states[0] or not fits[name]:
            raise DataError(
                f"{file}: {name} has shape {tensors[name].shape}, embeddings {states}; they "
                "must have as many rows, labels beside responses, prompt_embeddings beside pairs"
            )


def read(
    paths: Sequence[Path], attributes: Sequence[str] | None, data: Pairs | Responses | None
) -> Iterator[dict[str, Any]]:
    """Read the columns of a data set, some rows at a time."""
    whole = open_set(paths)
    names = _label_names(whole, attributes)
    keys = _keys(whole, data)
    start = 0
    for tensors in whole.batches():
        states = tensors["embeddings"]
        stop = start + len(states)
        columns = keys(start, stop)
        if whole.pairs:
            columns |= _of_pairs(states, tensors.get("prompt_embeddings"), columns["id"])
        else:
            columns["response"] = states
            labels = tensors.get("labels", np.zeros((len(states), 0))).astype(np.float64)
            columns |= {name: labels[:, k] for k, name in enumerate(names)}
        yield columns
        start = stop


def _of_pairs(states: Array, prompts: Array | None, ids: pa.Array) -> dict[str, Any]:
    columns = {"chosen": states[:, 0], "rejected": states[:, 1]}
    if prompts is None:
        return columns
    unlike = (prompts[:, 0] != prompts[:, 1]).any(axis=1)
    notice("the two states of the prompt differ", ids.filter(pa.array(unlike)).to_pylist())
    return {"prompt": prompts[:, 0], **columns}


def _label_names(whole: EmbeddingsSet, attributes: Sequence[str] | None) -> Sequence[str]:
    labels = whole.files[0].get("labels")
    count = labels.shape[1] if labels is not None else 0
    names = attributes if attributes is not None else PUBLISHED if count == len(PUBLISHED) else ()
    if len(names) != count or len(set(names)) != count:
        raise DataError(
            f"{whole.name} has {count} columns of labels and {len(names)} names for them "
            f"({len(set(names))} different); write attributes: with a name for each, in order"
        )
    return names


def _keys(
    whole: EmbeddingsSet, data: Pairs | Responses | None
) -> Callable[[int, int], dict[str, Any]]:
    if data is None:
        return lambda start, stop: {
            "id": pa.array([f"{whole.name}/{row}" for row in range(start, stop)], pa.string())
        }
    if len(data) != len(whole):
        raise DataError(
            f"{whole.name} has {len(whole)} rows and {data.name or 'data'} has {len(data)}; give "
            "the data that were embedded, with no row left out"
        )
    wanted = [name for name in ("id", "group") if name in data.columns]
    batches = [batch.select(wanted) for batch in data.batches()]
    keys = pa.Table.from_batches(batches) if batches else data.table.select(wanted)

    def rows(start: int, stop: int) -> dict[str, Any]:
        part = keys.slice(start, stop - start).combine_chunks()
        return {n: pa.concat_arrays(part[n].chunks or [pa.array([], pa.string())]) for n in wanted}

    return rows


@dataclass(frozen=True)
class ShardSettings:
    """The parameters of ``write-embeddings``."""

    name: str
    attributes: Mapping[str, str] | None
    dtype: str
    rows_per_file: int


def write(
    settings: ShardSettings, states: Features, labels: Responses | Features | None, directory: Path
) -> None:
    """Write the shards, and a page that lists them."""
    vectors = [f.name for f in states.rows.schema if pa.types.is_fixed_size_list(f.type)]
    pairs = {"chosen", "rejected"} <= set(vectors)
    if not pairs and "response" not in vectors:
        raise DataError(
            f"{states.name} has no vectors chosen and rejected, and none called response; it has "
            f"{some(vectors or states.columns, 12)}"
        )
    ratings = None if labels is None else _label_matrix(settings, states, labels)
    total = max(1, -(-len(states) // settings.rows_per_file))
    listed = []
    for shard in range(total):
        start = shard * settings.rows_per_file
        part = _Shard(states, start, min(start + settings.rows_per_file, len(states)), vectors)
        file = directory / f"{settings.name}-{shard + 1:05d}-of-{total:05d}.safetensors"
        _write_shard(settings, part, None if ratings is None else ratings[start : part.stop], file)
        listed.append((file.name, part.stop - start))
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{count}</td></tr>" for name, count in listed)
    (directory / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>{escape(settings.name)}</title>'
        f"<table><tr><th>file</th><th>rows</th></tr>{rows}</table>\n",
        encoding="utf-8",
    )


@dataclass(frozen=True)
class _Shard:
    states: Features
    start: int
    stop: int
    vectors: Sequence[str]

    def width(self, name: str) -> int:
        return int(self.states.rows.schema.field(name).type.list_size)

    def matrices(self, *names: str) -> Iterator[Array]:
        """Read the vectors of these names side by side, (rows, names, d), or (rows, d) of one."""
        for start in range(self.start, self.stop, ROWS):
            table = self.states.rows.read(start, min(start + ROWS, self.stop)).combine_chunks()
            parts = [
                matrix_of(chunk, self.width(name), self.states.name)
                for name in names
                for chunk in table[name].chunks
            ]
            yield parts[0] if len(names) == 1 else np.stack(parts, axis=1)


def _write_shard(settings: ShardSettings, part: _Shard, ratings: Array | None, file: Path) -> None:
    dtype = {"bfloat16": "BF16", "float32": "F32"}[settings.dtype]
    rows = part.stop - part.start
    tensors: dict[str, tuple[str, Sequence[int]]] = {}
    values: dict[str, Any] = {}
    if "chosen" in part.vectors:
        tensors["embeddings"] = (dtype, (rows, 2, part.width("chosen")))
        values["embeddings"] = part.matrices("chosen", "rejected")
        if "prompt" in part.vectors:
            tensors["prompt_embeddings"] = (dtype, (rows, 2, part.width("prompt")))
            values["prompt_embeddings"] = part.matrices("prompt", "prompt")
    else:
        tensors["embeddings"] = (dtype, (rows, part.width("response")))
        values["embeddings"] = part.matrices("response")
    if ratings is not None:
        tensors["labels"] = ("F32", ratings.shape)
        values["labels"] = [ratings]
    write_tensors(file, tensors, values)


def _label_matrix(settings: ShardSettings, states: Features, labels: Responses | Features) -> Array:
    """Return labels (n, K) in the order of the states' rows; NaN where one is missing."""
    columns = settings.attributes or {}
    missing = [column for column in columns.values() if column not in labels.columns]
    if missing or not columns:
        problem = f"no column {missing[0]!r}" if missing else "no attributes named"
        raise DataError(
            f"{labels.name or 'labels'}: {problem}; write attributes: with the column of each, of "
            f"{some(labels.columns, 20)}"
        )
    ids = pa.chunked_array([batch.column("id") for batch in states.batches()], pa.string())
    positions = pc.index_in(ids, value_set=labels["id"].combine_chunks())
    if positions.null_count:
        lost = ids.filter(pc.is_null(positions)).to_pylist()
        raise DataError(f"{labels.name or 'labels'} has no row for {len(lost)} ids ({some(lost)})")
    arrays = [labels[column].cast(pa.float64()).take(positions) for column in columns.values()]
    return np.column_stack([pc.fill_null(c, np.nan).to_numpy() for c in arrays]).astype(np.float32)
