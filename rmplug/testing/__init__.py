"""Tools for authors of plugins: small data, a registry without discovery, and a conformance suite.

from rmplug.testing import check_step
from my_plugin import MyFeature

def test_my_feature_conforms():
    check_step(MyFeature, {"window": 3})
"""

from __future__ import annotations

from .conformance import HEAVY, check_documentation, check_light_import, check_step
from .sameness import assert_same
from .single_step import registry_of, run_step
from .small_data import LengthModel, small_features, small_pairs, small_responses

__all__ = [
    "HEAVY",
    "LengthModel",
    "assert_same",
    "check_documentation",
    "check_light_import",
    "check_step",
    "registry_of",
    "run_step",
    "small_features",
    "small_pairs",
    "small_responses",
]
