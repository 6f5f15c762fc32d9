"""The sections of the page, in its order; each is there only when its input is."""

from __future__ import annotations

from collections.abc import Callable

from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup

from ._audited import audited
from ._benchmarks import benchmarks, curves, matrices
from ._changes import attributes, changed
from ._comparison import compared
from ._data import data, ran
from ._directions import directions
from ._explained import explained_shares
from ._fits import trained, why
from ._gate import gate
from ._plots import plots
from ._quality import quality
from ._rewards import accuracy, calibrated, distributions, length, more
from ._runs import runs
from ._section import Section
from ._tokens import tokens

MAKERS: tuple[Callable[[Inputs, MetricLookup], Section | None], ...] = (
    runs,
    data,
    quality,
    distributions,
    accuracy,
    benchmarks,
    compared,
    matrices,
    curves,
    audited,
    length,
    tokens,
    plots,
    explained_shares,
    why,
    directions,
    attributes,
    changed,
    gate,
    calibrated,
    trained,
    more,
    ran,
)


def sections(inputs: Inputs, lookup: MetricLookup) -> list[Section]:
    """Return every section that the inputs allow."""
    made = [make(inputs, lookup) for make in MAKERS]
    return [one for one in made if one is not None]
