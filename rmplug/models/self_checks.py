"""The check of a query by itself: a few rows beside the same rows, each alone and in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rmplug.artifacts import Identified, RewardModel
from rmplug.checks import Check, add_check
from rmplug.notices import collect_notices, notice

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.arrays import Array

TEXTS = ("prompt", "chosen", "rejected", "response")
LOOKED_AT = 256
"""Rows among which those to check are chosen: the first of the data."""
ROUNDING = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.3}
"""The most that numbers in a format may be off by rounding, in standard deviations of all of them;
in float32 that is some 1e-6, and another order of sums a hundred times more at worst."""
LEAST = 1e-5


def ids_to_check(data: Identified, count: int) -> frozenset[str]:
    """Return the ids of a few rows of data: of texts of all lengths, the same at every time."""
    import numpy as np

    table = data.rows.read(0, min(len(data), LOOKED_AT))
    ids, lengths = table["id"].to_pylist(), np.zeros(len(table), np.int64)
    for name in TEXTS:
        if name in table.schema.names:
            lengths += _lengths(table[name])
    order = sorted(range(len(ids)), key=lambda row: (int(lengths[row]), ids[row]))
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return frozenset(ids[order[place]] for place in places)


def _lengths(messages: pa.ChunkedArray) -> Array:
    import numpy as np

    rows = messages.to_pylist()
    return np.array([sum(len(turn["content"] or "") for turn in row or ()) for row in rows], int)


def places_to_check(batch: pa.RecordBatch, ids: frozenset[str]) -> Array:
    """Return the places of the rows of a batch that have one of some ids."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(ids), pa.string())
    return np.flatnonzero(np.asarray(pc.is_in(batch.column("id"), value_set=wanted)))


def finite_spread(values: Array) -> float | None:
    """Return the standard deviation of the finite ones among values; None if there are none."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return float(finite.std()) if len(finite) else None


def check_again(
    model: RewardModel,
    what: str,
    found: Array,
    again: Callable[[], Array],
    ids: Sequence[str],
    *,
    spread: float | None = None,
    pairs: bool = False,
) -> None:
    """Compare numbers of shape (rows, ...) with those that ``again`` gives where the model works as
    exactly as it can, and record how far apart they are; nothing for a model without another way.
    Of ``pairs`` the first half of the rows are chosen and the others rejected responses; a pair
    whose margin (of the first number) has another sign is flipped. ``ids`` name the rows. Rows with
    numbers that are not finite cannot be compared; where that is so in one way only, it is told."""
    import numpy as np

    exact = model.exactly()
    if exact is None or not len(found):
        return
    with exact as formats, collect_notices():  # what these rows are noticed for is told already
        reference = np.asarray(again(), dtype=np.float64).reshape(len(found), -1)
    found = np.asarray(found, dtype=np.float64).reshape(len(found), -1)
    sound, alone = (np.isfinite(each).all(axis=1) for each in (found, reference))
    lost = f"{what} are finite numbers with other rows or alone in {formats.exact}, but not both"
    notice(lost, [ids[row] for row in np.flatnonzero(sound != alone).tolist()])
    both = np.logical_and(sound, alone)
    off = np.abs(found[both] - reference[both]).max(axis=1)
    if not len(off):
        return
    halves, flipped = _flipped(found[:, 0], reference[:, 0], both) if pairs else (0, 0)
    known, largest, mean = np.flatnonzero(both).tolist(), float(off.max()), float(off.mean())
    add_check(Check(what, formats.exact, len(off), largest, mean, spread, halves, flipped))
    bound = max(LEAST, ROUNDING.get(formats.own, ROUNDING["bfloat16"]) * (spread or 0.0))
    if spread is not None and largest > bound:
        notice(
            f"{what} differ from those of each row alone in {formats.exact} by up to "
            f"{largest:.2g}, which is more than rounding in {formats.own}",
            [ids[row] for row, far in zip(known, off, strict=True) if far > bound],
        )


def _flipped(found: Array, reference: Array, known: Array) -> tuple[int, int]:
    """Count the pairs both of whose scores are known, and those whose margin has another sign."""
    import numpy as np

    pairs = np.logical_and(*np.split(known, 2))
    halves = (np.split(each, 2) for each in (found, reference))
    margins = (chosen[pairs] - rejected[pairs] for chosen, rejected in halves)
    before, after = map(np.sign, margins)
    return int(pairs.sum()), int((before != after).sum())
