"""Performance models as a stranger might send them: one sentence each, before a library reads."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from test_performance_model import candidates, fit

from rmplug import DataError


@pytest.fixture
def sent(tmp_path):
    """The folder of a fit of trees, and the fit."""
    return tmp_path, fit(candidates(), tmp_path, model="lightgbm")


def test_trees_on_a_feature_that_is_not_there_are_refused(sent):
    folder, found = sent
    assert found.open().names
    path = folder / "trees-0.txt"
    path.write_text(re.sub(r"split_feature=\d+", "split_feature=900000000", path.read_text()))
    with pytest.raises(DataError, match="a split is on a feature that is not there"):
        found.open()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"names": ["a"] * 3}, "does not hold 15 numbers for each form"),
        ({"folds": 10**9}, "forms are not a whole one and 1000000000 folds"),
        ({"fold_of": [7], "errors": [0.0]}, "a candidate is of a fold that is not there"),
        ({"around": 7}, "TypeError"),
        ({"with_size": False}, "trees-0.txt is not of 4 features"),
    ],
)
def test_a_description_of_another_model_is_refused(sent, entries, reason):
    folder, found = sent
    path = folder / "fit.json"
    told = json.loads(path.read_text())
    if "with_size" in entries:
        entries = {"with_size": not told["with_size"]}
    path.write_text(json.dumps({**told, **entries}))
    with pytest.raises(DataError, match=f"does not hold a performance model .*{reason}") as caught:
        found.open()
    assert "\n" not in str(caught.value)


def test_numbers_of_another_shape_are_refused_before_they_are_read(sent):
    folder, found = sent
    path = folder / "forms.npy"
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 18)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(DataError, match=r"forms\.npy does not hold 18 numbers for each form"):
        found.open()
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match="does not hold a performance model"):
        found.open()
