"""The sections of the page, in its order; each is there only when its input is."""

from __future__ import annotations

from collections.abc import Callable

from ._change_sections import attributes, changed
from ._comparison_section import compared
from ._data_sections import data, ran
from ._fit_sections import trained, why
from ._gate_section import gate
from ._inputs import Inputs
from ._level_sections import benchmarks, curves, matrices
from ._measured import Measured
from ._reward_sections import accuracy, calibrated, distributions, length, more
from ._section import Section

MAKERS: tuple[Callable[[Inputs, Measured], Section | None], ...] = (
    ran,
    data,
    distributions,
    accuracy,
    benchmarks,
    compared,
    matrices,
    curves,
    length,
    why,
    attributes,
    changed,
    gate,
    calibrated,
    trained,
    more,
)


def sections(inputs: Inputs, measured: Measured) -> list[Section]:
    """Every section that the inputs allow."""
    found = [make(inputs, measured) for make in MAKERS]
    return [one for one in found if one is not None]
