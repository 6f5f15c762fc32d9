"""What probes say of new states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rmplug import DataError, Predictor
from rmplug.arrays import Array
from rmplug.errors import some

from ._directions_file import Direction, PlaceDirections, read_directions
from ._places import SIDES

EVERY_SIDE = ("", "response", *SIDES)


def open_probe(directory: Path) -> ProbeValues:
    """Open the probes in a folder; anything else is refused."""
    return ProbeValues(read_directions(directory))


class ProbeValues(Predictor):
    """A predictor from states of the same places: the steps may have other names."""

    def __init__(self, places: Sequence[PlaceDirections]) -> None:
        self.places = places

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        found: dict[str, Array] = {}
        steps = list(dict.fromkeys(place.name.partition(".")[0] for place in self.places))
        given = [n for n in features.column_names if n not in ("id", "group")]
        names = dict(zip(steps, dict.fromkeys(n.partition(".")[0] for n in given), strict=False))
        for place in self.places:
            step, _, rest = place.name.partition(".")
            sides = {side: ".".join(part for part in (names.get(step, ""), side, rest) if part)
                     for side in EVERY_SIDE}  # fmt: skip
            there = {side: name for side, name in sides.items() if name in given}
            if not there:
                raise DataError(
                    f"the probes read states of {place.name}, and there are {some(given, 8)}; give "
                    "the steps that they were fitted on, in the same order"
                )
            for side, name in there.items():
                found |= self._values(place, side, features[name])
        return found

    def _values(
        self, place: PlaceDirections, side: str, column: pa.ChunkedArray
    ) -> dict[str, Array]:
        width = getattr(column.type, "list_size", 0)
        if width != len(place.mean):
            raise DataError(
                f"the probes of {place.name} read vectors of {len(place.mean)} numbers, these have "
                f"{width}; give states of the same model"
            )
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        states = np.asarray(flat, dtype=np.float64).reshape(len(column), -1)
        where = [side if side in SIDES else "", place.name if len(self.places) > 1 else ""]
        start = "".join(f"{part}." for part in where if part)
        found: dict[str, Array] = {}
        for target, direction in place.targets.items():
            found |= {f"{start}{target}{part}": values for part, values in _of(direction, states)}
        return found


def _of(direction: Direction, states: Array) -> list[tuple[str, Array]]:
    """Return the number, the probability of the higher of two classes, or those of each class."""
    values = states @ direction.weights.T + direction.bias
    if not direction.classes:
        return [("", values[:, 0])]
    chances = 0.5 * (1 + np.tanh(values / 2))
    if len(direction.classes) == 2:
        return [("", chances[:, 0])]
    return [(f".{label}", chances[:, n]) for n, label in enumerate(direction.classes)]
