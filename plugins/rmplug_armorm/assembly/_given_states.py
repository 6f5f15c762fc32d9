"""States that were asked for before, and the proof that they are a model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.notices import collect_notices

from ._model import AssembledModel, side_of

PAIR, RESPONSE = ("prompt", "chosen", "rejected"), ("prompt", "response")
NEAR = 5e-2
"""How far apart, relative to their length, the same states may be: they may be in bfloat16."""


def encoded(model: AssembledModel, rows: pa.RecordBatch, sides: Sequence[str]) -> dict[str, Array]:
    """States (n, d) of each side of pairs or responses."""
    return {
        side: model.prompts(rows) if side == "prompt" else model.states(side_of(rows, side))
        for side in sides
    }


def prove(
    model: AssembledModel, rows: pa.RecordBatch, given: Mapping[str, Array], name: str
) -> None:
    """Raise DataError unless these are the states of these rows, asked anew."""
    with collect_notices():  # told already, by the step that asked for them
        found = encoded(model, rows, tuple(given))
    for side, anew in found.items():
        if anew.shape == given[side].shape:
            far = np.linalg.norm(anew - given[side], axis=1) / np.linalg.norm(anew, axis=1)
            if (far <= NEAR).all():
                continue
        hint = " (is prompt_end as in that step?)" if side == "prompt" else ""
        raise DataError(
            f"the states {name} are not those of this encoder and data: {side} of "
            f"{rows.column('id')[0].as_py()} and others differ{hint}; ask the same encoder with "
            "hidden-state, part: both"
        )
