"""Names of binary features: a measure or tag, and which values of it count.

A name is ``name`` alone or ``name::key=value|key=value``: ``rouge::min_val=0.33|max_val=0.67``, or
``analyzer_scalar::feature_name=safety_concern|value=high``. The hybrid preference router writes its
names in this way (arXiv 2410.19133).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from rmplug import DataError
from rmplug_hybrid.names.dimensions import DIMENSIONS, Dimension

Value: TypeAlias = int | float | str
THIRDS = (0.0, 0.33, 0.67, 1.0)
SCORES = ("bertscore", "bertscore_length", "cosine_sim", "entity_sim", "rouge")
LENGTHS = ("len_longer", "len_shorter", "prompt_len", "token_len_diff")
MARKS = ("::", "|", "=")


def parse_feature(name: str) -> tuple[str, dict[str, Value]]:
    """Read what a name is about, and its keys: digits are integers, other numbers floats."""
    about, marked, rest = name.partition("::")
    if not marked:
        return name, {}
    entries = [entry.split("=") for entry in rest.split("|")]
    if "::" in rest or any(len(entry) != 2 for entry in entries):
        raise DataError(
            f"{name!r} is no name of a feature; write name, or name::key=value|key=value with "
            "values that have none of ::, | and ="
        )
    return about, {key: _value(text) for key, text in entries}


def _value(text: str) -> Value:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def format_feature(about: str, keys: Mapping[str, Value] | None = None) -> str:
    """Write the name with these keys, in their order."""
    texts = [about, *(str(part) for entry in (keys or {}).items() for part in entry)]
    odd = [text for text in texts if any(mark in text for mark in MARKS)]
    if odd:
        raise DataError(
            f"{odd[0]!r} cannot be part of a feature's name, which sets its parts apart by ::, | "
            "and =; rename it"
        )
    listed = "|".join(f"{key}={value}" for key, value in (keys or {}).items())
    return f"{about}::{listed}" if listed else about


def name_bins(name: str, edges: Sequence[float] = THIRDS) -> list[str]:
    """Name the bins of a measure, one between each two edges."""
    limits = [float(edge) for edge in edges]
    return [
        format_feature(name, {"min_val": low, "max_val": high}) for low, high in pairwise(limits)
    ]


def name_tags(name: str, dimension: Dimension) -> list[str]:
    """Name a tag's features: one per value, or one for its being there."""
    about = f"analyzer_{dimension.form.replace('-', '_')}"
    if dimension.form == "open-set":
        return [format_feature(about, {"feature_name": name, "check_for_existence": 1})]
    key = "value" if dimension.form == "scalar" else "constraints"
    return [format_feature(about, {"feature_name": name, key: v}) for v in dimension.values]


def list_features() -> list[str]:
    """List the 90 names of the original, in its order: 27 of measures in thirds, 63 of tags."""
    measures = [name for measure in sorted((*SCORES, *LENGTHS)) for name in name_bins(measure)]
    tags = [name for tag, dimension in DIMENSIONS.items() for name in name_tags(tag, dimension)]
    return measures + tags
