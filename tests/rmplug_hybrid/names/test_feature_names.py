"""The names of binary features."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from rmplug import DataError
from rmplug_hybrid.names.dimensions import DIMENSIONS, Dimension
from rmplug_hybrid.names.feature_names import (
    format_feature,
    list_features,
    name_bins,
    parse_feature,
)

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid/01_feature_space"


def case(name):
    if not CASES.is_dir():
        pytest.skip(f"no reference cases at {CASES}")
    return json.loads((CASES / name).read_text())


def test_the_ninety_names_are_those_of_the_original_in_its_order():
    assert list_features() == case("all_features.json")


def test_names_are_read_as_the_original_reads_them():
    for entry in case("parse_feature.json"):
        about, keys = parse_feature(entry["in"])
        wanted_about, wanted = entry["out"]
        assert about == wanted_about
        assert list(keys) == list(wanted)
        for key, value in keys.items():
            if isinstance(value, float) and math.isnan(value):
                assert math.isnan(wanted[key])
            else:
                assert (value, type(value)) == (wanted[key], type(wanted[key]))


def test_what_is_written_is_read_back():
    for name in list_features():
        assert format_feature(*parse_feature(name)) == name


def test_bins_of_any_edges_have_names():
    assert name_bins("margin", (-1, 0, 2)) == [
        "margin::min_val=-1.0|max_val=0.0",
        "margin::min_val=0.0|max_val=2.0",
    ]


@pytest.mark.parametrize("wrong", ["a::b", "a::b=1|c", "a::b=1=2", "a::b=1::c=2"])
def test_what_is_no_name_is_refused(wrong):
    with pytest.raises(DataError, match="is no name of a feature; write name, or name::key=value"):
        parse_feature(wrong)


def test_a_part_that_would_be_read_as_two_is_refused():
    with pytest.raises(DataError, match="'a=b' cannot be part of a feature's name"):
        format_feature("analyzer_scalar", {"value": "a=b"})


def test_a_scalar_needs_values_and_an_open_set_has_none():
    sentence = "a closed set and a scalar need values, an open set has none"
    with pytest.raises(ValidationError, match=sentence):
        Dimension(form="scalar")
    with pytest.raises(ValidationError, match=sentence):
        Dimension(form="open-set", values=("a",))


def test_values_that_differ_by_case_alone_are_refused():
    with pytest.raises(ValidationError, match="must differ by more than case and spaces"):
        Dimension(values=("Law", " law "))


def test_a_value_that_no_name_can_have_is_refused():
    with pytest.raises(ValidationError, match="the value 'a|b' has ::, | or =".replace("|", r"\|")):
        Dimension(values=("a|b",))


def test_every_built_in_dimension_has_a_question():
    assert all(dimension.question.endswith("?") for dimension in DIMENSIONS.values())
    assert len(DIMENSIONS) == 8
