"""Texts of specs that are read or refused."""

from __future__ import annotations

import pytest

from rmplug._spec.source import Mark, parse_source
from rmplug.errors import Problem, SpecError

CLOSE = "expected ',' or a closing bracket; text with brackets needs quotes"
SPEC = """\
name: demo  # a comment
steps:
  why:
    kind: sklearn
    inputs: {features: [words, "a b"], target: reward.margin}
    params:
      args: {n_estimators: 100}
      note: |
        two
        lines
      empty:
"""


def refusal(text: str) -> Problem:
    """The one problem for which a text is refused."""
    with pytest.raises(SpecError) as caught:
        parse_source(text)
    (problem,) = caught.value.problems
    return problem


def pointed(mark: Mark | Problem) -> str:
    """The text above the caret."""
    return mark.text[mark.column - 1 : mark.column - 1 + mark.width]


def value_of(written: str) -> object:
    data = parse_source(f"x: {written}").data
    assert isinstance(data, dict)
    return data["x"]
