"""States with directions that are known, and folders of directions made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rmplug import Features, Fit
from rmplug_hf.directions._directions_file import Direction, PlaceDirections, write_directions
from rmplug_hf.directions.probing import Probe

PAIRS, WIDTH = 150, 12
SIDES = ("chosen", "rejected")


def vectors(rows):
    flat = pa.array(np.asarray(rows, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def unit(row):
    return row / np.linalg.norm(row)


class Planted:
    """States of pairs (two pairs a prompt): at layer 3 they hold a length and a truth value along
    two directions, at layer 5 nothing but noise."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.of_length, self.of_truth = unit(rng.normal(size=WIDTH)), unit(rng.normal(size=WIDTH))
        keys = {
            "id": [f"p{n}" for n in range(PAIRS)],
            "group": [f"g{n // 2}" for n in range(PAIRS)],
        }
        lengths = {side: rng.normal(size=PAIRS) for side in SIDES}
        truths = {side: rng.random(PAIRS) > 0.4 for side in SIDES}
        self.at_three = {
            side: rng.normal(size=(PAIRS, WIDTH))
            + 2 * np.outer(lengths[side], self.of_length)
            + 1.5 * np.outer(2.0 * truths[side] - 1, self.of_truth)
            for side in SIDES
        }
        noise = {side: rng.normal(size=(PAIRS, WIDTH)) for side in SIDES}
        columns = {f"{side}.layer-3": vectors(self.at_three[side]) for side in SIDES}
        columns |= {f"{side}.layer-5": vectors(noise[side]) for side in SIDES}
        self.states = Features(pa.table({**keys, **columns}), "states")
        self.length = Features({**keys, **{f"{s}.length": lengths[s] for s in SIDES}}, "words")
        self.truth = Features({**keys, **{f"{s}.truth": truths[s] for s in SIDES}}, "facts")

    @property
    def rows(self):
        return np.concatenate([self.at_three[side] for side in SIDES])


def directions_of(folder, weights, *, layer=None, pooling=None, mean=None, pattern=None, name="x",
                  classes=()):  # fmt: skip
    """A fit with one place and one target, whose probe has these weights."""
    weights = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    width = weights.shape[1]
    rng = np.random.default_rng(0)
    direction = Direction(
        classes, weights, np.zeros(len(weights)),
        weights if pattern is None else np.atleast_2d(pattern),
        np.full(len(weights), 2.0), np.stack([weights] * 3),
    )  # fmt: skip
    mean = np.zeros(width) if mean is None else mean
    place = PlaceDirections(
        "s", layer, pooling, mean, rng.normal(size=(200, width)), {name: direction}
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_directions(folder, [place])
    return Fit(folder, Probe, name="probe")
