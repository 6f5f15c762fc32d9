"""States of the texts of rows, and the check that given states are those of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.data.sides import side_of
from rmplug.models.head_encoders import NEAR
from rmplug.notices import collect_notices

from ._model import AssembledModel

PAIR, RESPONSE = ("prompt", "chosen", "rejected"), ("prompt", "response")


def encoded(model: AssembledModel, rows: pa.RecordBatch, sides: Sequence[str]) -> dict[str, Array]:
    """Encode each side of pairs or responses; returns states (n, d) by side."""
    return {
        side: model.prompts(rows) if side == "prompt" else model.states(side_of(rows, side))
        for side in sides
    }


def prove(
    model: AssembledModel, rows: pa.RecordBatch, states: Mapping[str, Array], name: str
) -> None:
    """Encode these rows again; raises DataError unless the given states are the same."""
    with collect_notices():  # the step that computed them reported these
        recomputed = encoded(model, rows, tuple(states))
    for side, expected in recomputed.items():
        if expected.shape == states[side].shape:
            far = np.linalg.norm(expected - states[side], axis=1) / np.linalg.norm(expected, axis=1)
            if (far <= NEAR).all():
                continue
        hint = " (is prompt_end as in that step?)" if side == "prompt" else ""
        raise DataError(
            f"the states {name} are not those of this encoder and data: {side} of "
            f"{rows.column('id')[0].as_py()} and others differ{hint}; ask the same encoder with "
            "hidden-state, part: both"
        )
