"""Files of directions from elsewhere are read as they should be, or refused in a sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rmplug import DataError
from rmplug_hf.directions._directions_file import (
    FILE,
    TENSORS,
    Direction,
    PlaceDirections,
    read_directions,
    write_directions,
)
from rmplug_hf.directions._projected_model import open_projected


@pytest.fixture
def written(tmp_path):
    one = Direction(("no", "yes"), *map(np.ones, ((1, 4), 1, (1, 4), 1, (2, 1, 4))))
    place = PlaceDirections("states", 2, "mean", np.zeros(4), np.ones((3, 4)), {"long": one})
    write_directions(tmp_path, [place])
    return tmp_path


def test_what_is_written_is_read(written):
    [place] = read_directions(written)
    assert (place.name, place.layer, place.pooling, list(place.targets)) == (
        *("states", 2, "mean", ["long"]),
    )
    assert place.targets["long"].of_folds.shape == (2, 1, 4)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("places", [], "it has no places, or no targets"),
        ("targets", [], "it has no places, or no targets"),
        ("places", [{"name": "states", "layer": "1", "pooling": None}], "no whole number"),
    ],
)
def test_a_file_without_places_or_with_a_text_as_layer_is_refused(written, key, value, said):
    content = json.loads((written / FILE).read_text(encoding="utf-8"))
    (written / FILE).write_text(json.dumps(content | {key: value}), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_directions(written)


def test_a_mean_that_is_a_single_number_is_refused(written):
    save_file(load_file(written / TENSORS) | {"0.mean": np.array(1.0)}, written / TENSORS)
    with pytest.raises(DataError, match=r"does not hold 0\.0\.weights as it should"):
        read_directions(written)


def test_a_checkpoint_with_a_layer_that_is_no_number_is_refused(tmp_path):
    config = {"format": 1, "kind": "project-out", "layer": 1.5, "pooling": None, "positions": "all"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model": {"kind": "linear-head"}}))
    with pytest.raises(DataError, match="its layer is no whole number"):
        open_projected(tmp_path, {})
