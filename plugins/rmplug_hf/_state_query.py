"""Asking a model for its hidden states, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel

from ._encoder import pooled_states
from ._states import States, side_of
from ._transformer import Transformer

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Ask:
    """Row-wise: the states of each side of a batch."""

    sides: tuple[str, ...]
    layer: int | None
    pooling: str | None
    position: int | str | None
    prompt_end: str

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if not isinstance(model, Transformer):
            raise DataError(
                f"{model.name or type(model).__name__} has no hidden states; give a model of "
                "transformers, such as an encoder"
            )
        states = States(self.layer, self.pooling, self.position)
        found = {}
        for side in self.sides:
            part = self.part_of(side)
            values = pooled_states(model, side_of(batch, side), states, part)
            _check_finite(values, batch, side)
            found[side] = values
        return found

    def part_of(self, side: str) -> str:
        """Which part of the conversation a side's state is of."""
        ends = {"response": "prompt", "turn": "turn"}
        return ends[self.prompt_end] if side == "prompt" else "both"


def _check_finite(values: Array, batch: pa.RecordBatch, side: str) -> None:
    odd = ~np.isfinite(values).all(axis=1)
    if odd.any():
        names = batch.column("id").filter(pa.array(odd)).to_pylist()
        raise DataError(
            f"the states of {side} are not finite numbers in {len(names)} rows "
            f"({', '.join(names[:5])}); use dtype: float32, or bfloat16 instead of float16"
        )
