"""The query for hidden states of a model, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.data.sides import side_of, stacked
from rmplug.models.self_checks import check_again, finite_spread, places_to_check
from rmplug.models.state_encoder import StateEncoder
from rmplug_hf.loading._encoder import pooled_states, pooled_with_prompts
from rmplug_hf.loading._states import Layers, States
from rmplug_hf.loading._transformer import Transformer


@dataclass(frozen=True)
class StateQuery:
    """The row-wise states of each side of a batch."""

    sides: tuple[str, ...]
    layer: int | None
    pooling: str | None
    position: int | str | None
    prompt_end: str
    layers: Layers | None = None
    checked: frozenset[str] = frozenset()
    """The ids of rows that are run again, each alone."""

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if isinstance(model, Transformer):
            states = self._pooled(model, batch)
        elif isinstance(model, StateEncoder):
            states = self._encoded(model, batch)
        else:
            raise DataError(
                f"{model.name or type(model).__name__} has no hidden states; give a model of "
                "transformers, such as an encoder"
            )
        for side in self.sides:
            _check_finite(states[side], batch, side)
        if isinstance(model, Transformer):
            self._check_again(model, batch, states)
        if self.layers is None:
            return {side: states[side] for side in self.sides}
        return {
            f"{side}.layer-{layer}": states[side][:, place]
            for side in self.sides
            for place, layer in enumerate(self._numbers(states[side].shape[1]))
        }

    def _check_again(
        self, model: Transformer, batch: pa.RecordBatch, states: dict[str, Array]
    ) -> None:
        """Compare the states of some rows with those of each of them alone."""
        places = places_to_check(batch, self.checked)
        if not len(places):
            return

        def flat(found: dict[str, Array], rows: Array | slice) -> Array:
            return np.concatenate([found[s][rows].reshape(len(places), -1) for s in self.sides], 1)

        part, found = batch.take(pa.array(places)), flat(states, places)
        ids = part.column("id").to_pylist()
        check_again(
            model,
            "states",
            found,
            lambda: flat(self._pooled(model, part), slice(None)),
            ids,
            spread=finite_spread(found),
        )

    def _numbers(self, count: int) -> Sequence[int]:
        return range(count) if self.layers is None or self.layers == "all" else self.layers

    def _encoded(self, model: StateEncoder, batch: pa.RecordBatch) -> dict[str, Array]:
        """Return the states that an encoder elsewhere gives, which has one layer and pooling."""
        asked = {"layer": self.layer, "layers": self.layers, "pooling": self.pooling}
        own = [name for name, value in asked.items() if value is not None]
        if own:
            raise DataError(
                f"{getattr(model, 'name', '')} gives states of its own layer and pooling only; "
                f"leave out {' and '.join(own)}"
            )
        part = "turn" if self.prompt_end == "turn" else "prompt"
        by_side: dict[str, Array] = {}
        if "prompt" in self.sides:
            by_side["prompt"] = model.vectors(side_of(batch, "prompt"), part)
        sides = [side for side in self.sides if side != "prompt"]
        values = np.split(model.vectors(stacked(batch, sides)), len(sides)) if sides else []
        return by_side | dict(zip(sides, values, strict=True))

    def _pooled(self, model: Transformer, batch: pa.RecordBatch) -> dict[str, Array]:
        states = States(self.layer, self.pooling, self.position, self.layers)
        part = "turn" if self.prompt_end == "turn" else "prompt"
        prompts, sides = side_of(batch, "prompt"), [s for s in self.sides if s != "prompt"]
        if not sides:
            return {"prompt": pooled_states(model, prompts, states, part)}
        by_side: dict[str, Array] = {}
        if "prompt" in self.sides:
            values, by_side["prompt"] = pooled_with_prompts(
                model, stacked(batch, sides), prompts, states, part
            )
        else:
            values = pooled_states(model, stacked(batch, sides), states)
        return by_side | dict(zip(sides, np.split(values, len(sides)), strict=True))


def _check_finite(values: Array, batch: pa.RecordBatch, side: str) -> None:
    odd = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if odd.any():
        names = batch.column("id").filter(pa.array(odd)).to_pylist()
        raise DataError(
            f"the states of {side} are not finite numbers in {len(names)} rows "
            f"({', '.join(names[:5])}); use dtype: float32, or bfloat16 instead of float16"
        )
