"""The weights that a gate gives, subset by subset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.intervals import percentile_interval
from rmplug_report.figures._heat_maps import Matrix, heat
from rmplug_report.inputs._contributions import Contributions
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup

from ._section import Section

RESAMPLES = 1000


def gate(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Mean weights of each attribute on the prompts of each subset."""
    found = inputs.contributions
    if found is None or not found.weights or inputs.pairs is None:
        return None
    subsets = np.array(inputs.subsets or [""] * len(inputs.pairs), dtype=object)
    groups = np.array(inputs.pairs["group"].to_pylist(), dtype=object).astype(str)
    cells: dict[tuple[str, str], Row] = {}
    masks = {"all": np.ones(len(subsets), dtype=bool)}
    masks |= {one: subsets == one for one in sorted({one for one in subsets if one})}
    for place, (subset, mask) in enumerate(masks.items()):
        rows = _means(found, mask, groups, (inputs.plan.seed, place))
        cells |= {(attribute, subset): row for attribute, row in rows.items()}
    if not cells:
        return None
    matrix = Matrix(found.attributes, list(masks), cells, False, None, "attribute", "subset")
    note = "Mean weight over the pairs of a subset; the deeper, the more an attribute counts there."
    drawing = heat("gate-by-subset", "Mean gate weight by subset", note, matrix)
    return Section("gate", "Gate weights by subset", drawings=[drawing])


def _means(
    found: Contributions,
    mask: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.str_],
    seed: Sequence[int],
) -> dict[str, Row]:
    """The mean weight of each attribute with its bootstrap interval over prompt groups."""
    known = mask & np.isfinite(np.stack(found.weights)).all(axis=0)
    if not known.any():
        return {}
    columns = {"rows": np.ones(int(known.sum()))}
    columns |= {
        name: values[known] for name, values in zip(found.attributes, found.weights, strict=True)
    }
    keyed = {f"{place}": values for place, values in enumerate(columns.values())}
    sums = resampled_sums(keyed, groups[known], RESAMPLES, seed)
    rows: dict[str, Row] = {}
    for place, name in enumerate(found.attributes, start=1):
        low, high = percentile_interval(sums[f"{place}"] / sums["0"], len(np.unique(groups[known])))
        value = float(keyed[f"{place}"].mean())
        rows[name] = {"value": value, "low": low, "high": high, "n": int(known.sum())}
    return rows
