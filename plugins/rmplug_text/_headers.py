"""The columns of data files before they are read: from headers and first rows, never from whole
files, and without a library for tables unless a file needs it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug.data.dialect import DELIMITED, dialect_of
from rmplug.data.files import DataFile, open_bytes
from rmplug.data.raw_texts import MISSING, find
from rmplug.errors import did_you_mean, some

from ._column_words import columns_meant, written_fields

FIRST_ROW = 1 << 20
SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet",
}  # fmt: skip
TEXTS = ("prompt", "chosen", "rejected")
OPTIONAL = ("margin", "weight", "subset")
MOST_FIELDS = 100


@dataclass(frozen=True)
class Sample:
    """A sample row: from a header (``exact``) all rows have these keys, with None for a value; else
    the first row. ``rows`` says whether rows follow a header."""

    file: Path
    row: Mapping[str, Any]
    exact: bool
    rows: bool = True


def samples(
    paths: Sequence[Path], format: str, delimiter: str | None = None, encoding: str | None = None
) -> list[Sample | None]:
    """Return a sample of each file; None for one whose rows must be read to know more."""
    return [_sample(path, format, delimiter, encoding) for path in paths]


def _sample(path: Path, format: str, delimiter: str | None, encoding: str | None) -> Sample | None:
    with suppress(OSError, EOFError, ValueError, LookupError, csv.Error):
        with open_bytes(path, utf16=True) as stream:
            head = stream.read(FIRST_ROW)
        endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
        by_ending = SUFFIXES.get(endings[-1] if endings else "", "")
        kind = (
            ("parquet" if head.startswith(b"PAR1") else by_ending) if format == "auto" else format
        )
        if kind == "parquet":
            return _of_parquet(path)
        if kind in DELIMITED:
            usual = DELIMITED[kind]
            dialect = dialect_of(DataFile(path, path.name), usual, delimiter, encoding)
            return _of_header(path, head.decode(dialect.encoding, "replace"), dialect.delimiter)
        if kind == "jsonl":
            with suppress(RecursionError):  # the run says what is wrong with the row
                first = json.loads(head.lstrip().partition(b"\n")[0])
                return Sample(path, first, False) if isinstance(first, dict) else None
    return None


def _of_header(path: Path, head: str, delimiter: str) -> Sample | None:
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, strict=True)
    names = next((fields for fields in rows if any(fields)), [])
    row = {name.strip() or f"column-{number}": None for number, name in enumerate(names, 1)}
    if not 0 < len(row) == len(names):
        return None
    follows = len(head) >= FIRST_ROW or any(any(fields) for fields in rows)
    return Sample(path, row, True, follows)


def _of_parquet(path: Path) -> Sample | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def keys(fields: Any) -> dict[str, Any]:
        return {f.name: keys(f.type) if pa.types.is_struct(f.type) else None for f in fields}

    try:
        return Sample(path, keys(pq.read_schema(path)), True)
    except pa.ArrowException:
        return None


def lacking(
    samples: Sequence[Sample | None], named: Mapping[str, str], drop: bool
) -> Iterator[tuple[str, str]]:
    """Yield each field whose column is certainly absent, with a message; those of a file that
    stand under their own names together. A first row is evidence only where an unusable row is an
    error, not where such rows are left out (``drop``).
    """
    unnamed: dict[Path, tuple[Sample, list[str]]] = {}
    evident = [one for one in samples if one is not None and (one.exact or not drop)]
    for field, column in named.items():
        sample = next((one for one in evident if _has_not(one, column)), None)
        if sample is None:
            continue
        hint = did_you_mean(column, sample.row)
        if hint or field != f"fields.{column}":
            yield field, f"{_absent(sample, [column])}{hint}; found: {some(sample.row, 20)}"
        else:
            unnamed.setdefault(sample.file, (sample, []))[1].append(column)
    for sample, fields in unnamed.values():
        found = f"{_absent(sample, fields)}; found: {some(sample.row, 20)}"
        yield f"fields.{fields[0]}", f"{found}; {_naming(fields, named, sample.row)}"


def _absent(sample: Sample, columns: Sequence[str]) -> str:
    where = sample.file.name if sample.exact else f"the first row of {sample.file.name}"
    return f"{where} has no {' and no '.join(map(repr, columns))}"


def _naming(fields: Sequence[str], named: Mapping[str, str], names: Iterable[str]) -> str:
    """Say how columns of other names are named, those that say what they are in a word: of these
    fields, and of the prompt, which may be part of the responses. What is named already stays."""
    own = {field.removeprefix("fields."): column for field, column in named.items()}
    given = {field: column for field, column in own.items() if field != column}
    listed = [name for name in names if name not in given.values()]
    prompt = [] if "prompt" in (*listed, *own) else ["prompt"]
    meant = columns_meant([*prompt, *fields], listed)
    every = {**given, **dict.fromkeys(fields, "NAME"), **meant}
    ordered = {name: every[name] for name in sorted(every, key=lambda name: name != "prompt")}
    word = "column" if len(ordered) == 1 else "columns"
    return f"name the {word} of yours: {written_fields(ordered)}"


def _has_not(sample: Sample, column: str) -> bool:
    if find(sample.row, column) is not MISSING:
        return False
    parts = column.split(".")
    heads = (".".join(parts[:size]) for size in range(1, len(parts)))
    # a list, or in a header anything without certain keys, may hold what the path reaches into
    return all(
        find(sample.row, head) is MISSING or isinstance(find(sample.row, head), dict)
        for head in heads
    )


def pair_columns(
    samples: Sequence[Sample | None], fields: Mapping[str, str | None]
) -> list[str] | None:
    """Return the columns that pairs of these files have; None where only the rows show them."""
    names: dict[str, None] = {}
    for sample in samples:
        if sample is None or not sample.exact:
            return None
        for name, value in sample.row.items():
            if isinstance(value, dict) and len(value) > MOST_FIELDS:
                return None
            names |= dict.fromkeys(_flat(name, value))
    named = {field: path for field, path in fields.items() if path}
    taken = set(named.values()) | (set(fields) - set(named))
    core = {"id", "group", *TEXTS}
    optional = [name for name in OPTIONAL if name in named or name in names]
    further = [name for name in names if not _is_taken(name, taken)]
    reserved = core | set(OPTIONAL)
    kept = [f"file.{name}" if name in reserved else name for name in further]
    return list(dict.fromkeys(["id", "group", *TEXTS, *optional, *kept]))


def _flat(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield name
        return
    for key, inner in value.items():
        yield from _flat(f"{name}.{key}", inner)


def _is_taken(name: str, taken: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:size]) in taken for size in range(1, len(parts) + 1))
