"""Columns behind the metrics: margins of each reward, lengths, and markdown marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, notice, text_of

from ._arrays import Floats, Ints

FENCED = r"(?ms)^[ \t]*```.*?(?:^[ \t]*```[^\n]*$|\z)"
LINES = (
    (r"(?m)^[ \t]*#{1,6}(?:[ \t][^\n]*)?$", "#"),
    (r"(?m)^[ \t]*(?:[-*+•]|\d{1,9}[.)])(?:[ \t][^\n]*)?$", ""),
    (r"(?m)^[-:| \t]*(?:-[-: \t]*\||\|[|: \t]*-)[-:| \t]*$", "|"),
)
"""Headings, list items, table rules, and a text in each of them; not counted in fenced code."""
SPANS = (
    (r"`[^`\n]+`", "`"),
    (r"\*\*[^*\n]+\*\*", "**"),
    (r"\[[^\[\]\n]*\]\([^()\n]+\)", "]("),
)
"""Code, bold, links, and a text in each of them."""
BLOCK_ROWS = 1 << 14
"""Rows whose texts are held at a time."""


@dataclass(frozen=True)
class Scored:
    """One reward on the pairs, in their order; NaN where it is missing."""

    name: str
    margin: Floats
    chosen: Floats | None = None
    rejected: Floats | None = None


def scored(data: Pairs, rewards: Sequence[Features]) -> list[Scored]:
    """Return every output of every reward, aligned to the pairs."""
    outputs = [one for reward in rewards for one in _outputs(data, reward)]
    names = [one.name for one in outputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the reward {twice[0]!r} is given twice; name each step once")
    for one in outputs:
        odd = data["id"].filter(pa.array(~np.isfinite(one.margin)))
        notice(f"{one.name}: no finite margin, left out of the metrics", odd.to_pylist(), "dropped")
    return outputs


def _outputs(data: Pairs, reward: Features) -> list[Scored]:
    margins = [name for name in reward.values if name.split(".")[0] == "margin"]
    if not margins and len(reward.values) == 1:
        margins = reward.values
    if not margins:
        raise DataError(
            f"{reward.name} has no column 'margin' (it has {', '.join(reward.values)}); "
            "give a query of a reward model on pairs, such as the kind 'reward'"
        )
    table = _aligned(data, reward)
    return [_output(table, reward.name, name) for name in margins]


def _output(table: pa.Table, step: str, margin: str) -> Scored:
    output = margin.removeprefix("margin") if margin.startswith("margin") else ""
    sides = (_column(table, f"{side}{output}") for side in ("chosen", "rejected"))
    values = _column(table, margin)
    assert values is not None
    return Scored(f"{step}{output}", values, *sides)


def _column(table: pa.Table, name: str) -> Floats | None:
    if name not in table.column_names:
        return None
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _aligned(data: Pairs, reward: Features) -> pa.Table:
    """Return the reward's rows in the order of the pairs; it may have more."""
    table, ids = reward.table, data["id"]
    if table["id"].equals(ids):
        return table
    rows = pc.index_in(ids, value_set=table["id"])
    if rows.null_count:
        first = ids.filter(pc.is_null(rows))[0].as_py()
        raise DataError(
            f"{reward.name} has no row for {rows.null_count} of {len(ids)} pairs "
            f"(first: {first}); evaluate it on the data it was computed from, or on a part of it"
        )
    return table.take(rows)


def codes(column: pa.ChunkedArray) -> Ints:
    """Return each distinct value of a column as a number."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return np.asarray(encoded.indices).astype(np.int64)


def characters(data: Pairs | pa.Table, side: str) -> Floats:
    """Count the Unicode code points of each response."""
    return _counted(data, side, lambda texts: np.asarray(pc.utf8_length(texts)))


def markdown_marks(data: Pairs | pa.Table, side: str) -> Floats:
    """Count headings, list items, code, bold, tables and links of each response."""
    return _counted(data, side, _marks)


def text_blocks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield the texts of a column of conversations, ``BLOCK_ROWS`` at a time; a null is empty."""
    for start in range(0, len(column), BLOCK_ROWS):
        yield pc.fill_null(text_of(column.slice(start, BLOCK_ROWS)), "")


def _counted(data: Pairs | pa.Table, side: str, count: Callable[[pa.Array], Ints]) -> Floats:
    counts = [count(texts).astype(np.float64) for texts in text_blocks(data[side])]
    return np.concatenate([np.empty(0), *counts])


def _marks(texts: pa.Array) -> Ints:
    counts = np.zeros(len(texts), dtype=np.int64)
    fenced = _matches(texts, FENCED, "```")
    counts += fenced
    for pattern, character in SPANS:
        counts += _matches(texts, pattern, character)
    if fenced.any():
        texts = pc.replace_substring_regex(texts, FENCED, "")
    for pattern, character in LINES:
        counts += _matches(texts, pattern, character)
    return counts


def _matches(texts: pa.Array, pattern: str, character: str) -> Ints:
    """Count a pattern in each text; only texts that contain ``character`` are searched."""
    if not character:
        return np.asarray(pc.count_substring_regex(texts, pattern)).astype(np.int64)
    counts = np.zeros(len(texts), dtype=np.int64)
    rows = np.flatnonzero(np.asarray(pc.match_substring(texts, character)))
    matches = pc.count_substring_regex(texts.take(pa.array(rows)), pattern)
    counts[rows] = np.asarray(matches)
    return counts
