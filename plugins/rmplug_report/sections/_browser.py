"""The pairs of the browsable table, packed for the page."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Fit, Pairs, text_of
from rmplug.data.rows import Memory
from rmplug_report.figures._palette import reward_colour
from rmplug_report.inputs._contributions import Floats, PairContributions, shown_rows
from rmplug_report.inputs._disagreement import disagreement, unit_of
from rmplug_report.inputs._hidden import NOT_SHOWN
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._wording import label

CHUNK = 1000
SAMPLE = 600
LEAST = 200


@dataclass(frozen=True)
class Packed:
    """Contents of the page's table: one packed block of columns, several of texts."""

    head: dict[str, Any]
    columns: str
    texts: Sequence[str]
    shown: int
    total: int
    cut: int
    limit: int


def pack(inputs: Inputs, rows: int, text_limit: int, megabytes: float) -> Packed | None:
    """Pack the first ``rows`` pairs with texts of at most ``text_limit`` characters, or fewer to
    fit."""
    if inputs.pairs is None or not len(inputs.pairs):
        return None
    table = inputs.pairs.rows.read(0, min(rows, len(inputs.pairs)))
    pairs = Pairs(Memory(without_hidden(table, inputs.hidden)), inputs.pairs.name)
    limit = text_limit
    while limit > LEAST and _estimate(pairs, limit) > megabytes * 1e6:
        limit = max(LEAST, limit * 3 // 4)
    texts = packed_texts(pairs, limit)
    columns, head = _columns(inputs, len(pairs))
    head["chunk"] = CHUNK
    cut = _count_cut(pairs, limit)
    return Packed(head, packed(columns), texts, len(pairs), len(inputs.pairs), cut, limit)


def without_hidden(table: pa.Table, hidden: frozenset[str]) -> pa.Table:
    """Return pairs with ``NOT_SHOWN`` instead of the texts of the hidden rows."""
    if not hidden:
        return table
    mask = pc.is_in(table["id"], value_set=pa.array(sorted(hidden), table["id"].type))
    for name in ("prompt", "chosen", "rejected"):
        kind = table[name].type
        role = "user" if name == "prompt" else "assistant"
        notes = pa.array([[{"role": role, "content": NOT_SHOWN}]], kind)
        both = pa.chunked_array([*table[name].chunks, notes], kind)
        places = pc.if_else(mask, len(table), pa.array(range(len(table)), pa.int64()))
        table = table.set_column(table.schema.get_field_index(name), name, both.take(places))
    return table


def packed(value: Any) -> str:
    """Encode a value as JSON, compressed, in base64; the same value returns the same text."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(plain.encode(), 6, mtime=0)).decode("ascii")


def _estimate(pairs: Pairs, limit: int) -> float:
    """Estimate the bytes that all texts would take, from an evenly spaced sample."""
    rows = np.unique(np.linspace(0, len(pairs) - 1, SAMPLE).astype(np.int64))
    sample = packed_texts(pairs.take(pa.array(rows)), limit)
    return sum(map(len, sample)) / len(rows) * len(pairs)


def packed_texts(pairs: Pairs, limit: int) -> list[str]:
    """Return blocks of ``[prompt turns, chosen, rejected]``, each turn ``[role, text]``."""
    blocks = []
    for start in range(0, len(pairs), CHUNK):
        part = Pairs(pairs.table.slice(start, CHUNK))
        sides = [
            pc.utf8_slice_codeunits(pc.fill_null(text_of(part[side]), ""), 0, limit).to_pylist()
            for side in ("chosen", "rejected")
        ]
        prompts = [_end(prompt or [], limit) for prompt in part["prompt"].to_pylist()]
        blocks.append(packed(list(zip(prompts, *sides, strict=True))))
    return blocks


def _end(prompt: Sequence[dict[str, Any]], limit: int) -> list[list[str]]:
    """Return the last turns of a prompt, ``limit`` characters of them."""
    turns: list[list[str]] = []
    for turn in reversed(prompt):
        if limit <= 0:
            break
        text = str(turn["content"] or "")
        turns.insert(0, [str(turn["role"] or ""), text[-limit:]])
        limit -= len(text)
    return turns


def _count_cut(pairs: Pairs, limit: int) -> int:
    """Count the prompts and responses that are longer than the page shows."""
    long = 0
    for side in ("prompt", "chosen", "rejected"):
        lengths = pc.utf8_length(pc.fill_null(text_of(pairs[side]), ""))
        long += int(pc.sum(pc.greater(lengths, limit)).as_py() or 0)
    return long


def _columns(inputs: Inputs, rows: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns to sort and filter by, and their names."""
    assert inputs.pairs is not None and inputs.gap is not None
    subsets = (inputs.subsets or [])[:rows]
    names = sorted({one for one in subsets if one})
    index = {one: i for i, one in enumerate(names)}
    residual_columns = [
        (fit, residual(inputs.pairs, fit)) for fit in inputs.fits if "rows" in fit.tables
    ]
    residuals = [(fit, values) for fit, values in residual_columns if np.isfinite(values).any()]
    columns: dict[str, Any] = {
        "ids": inputs.pairs["id"].slice(0, rows).to_pylist(),
        "subset": [index.get(one, -1) for one in subsets],
        "chosenLength": inputs.lengths["chosen"][:rows].astype(int).tolist(),
        "rejectedLength": inputs.lengths["rejected"][:rows].astype(int).tolist(),
        "margin": [short(one.margin[:rows]) for one in inputs.rewards],
        "chosen": [_side(one.chosen, rows) for one in inputs.rewards],
        "rejected": [_side(one.rejected, rows) for one in inputs.rewards],
        "residual": [short(values[:rows]) for _, values in residuals],
    }
    head: dict[str, Any] = {
        "rows": rows,
        "subsets": [label(one, 80) for one in names],
        "rewards": [
            {
                "name": label(one.name),
                "colour": reward_colour(inputs.number(one.name)),
                "unit": unit_of(one),
            }
            for one in inputs.rewards
        ],
        "fits": [
            {"name": label(fit.name), "reward": explains(inputs, fit)} for fit, _ in residuals
        ],
    }
    apart = disagreement(inputs)
    if apart is not None:
        columns["disagreement"] = short(apart[:rows])
    if inputs.contributions is not None:
        columns["parts"], head["parts"] = _parts(inputs.contributions, rows)
    return columns, head


def _parts(contributions: PairContributions, rows: int) -> tuple[list[Any], dict[str, Any]]:
    """Return contributions to both sides and the gate's weights, attribute by attribute."""
    held = shown_rows(contributions, rows)
    sides = (contributions.chosen, contributions.rejected, contributions.weights)
    packed = [[short(values[:held]) for values in side] for side in sides]
    names = [label(one, 60) for one in contributions.attributes]
    return packed, {"name": label(contributions.name), "attributes": names, "rows": held}


def _side(values: Floats | None, rows: int) -> list[float | None] | None:
    return None if values is None else short(values[:rows])


def short(values: Floats) -> list[float | None]:
    """Round to five significant digits; None where there is no number."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values.tolist()]


def residual(pairs: Pairs, fit: Fit) -> Floats:
    """Return the fit's residual of each pair, NaN where it has none."""
    table = fit.tables["rows"]
    taken = table["residual"].take(pc.index_in(pairs["id"], value_set=table["id"]))
    return np.asarray(taken.cast(pa.float64()).to_numpy(), dtype=np.float64)


def explains(inputs: Inputs, fit: Fit) -> int:
    """Return the index of the reward whose margin is the fit's target, by the plan; else 0."""
    names = [one.name for one in inputs.rewards]
    taken = [
        entry
        for step in inputs.plan.steps
        if step.id == fit.name
        for entry in step.inputs.get("target", ())
    ]
    for entry in taken:
        for i, one in enumerate(names):
            if entry == one or entry.startswith(f"{one}."):
                return i
    return 0
