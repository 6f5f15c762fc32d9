"""The section of a gate's weights, subset by subset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rmplug.stats.bootstrap import resampled_sums
from rmplug.stats.intervals import percentile_interval
from rmplug_report.figures._heat_maps import Matrix, heat
from rmplug_report.inputs._contributions import PairContributions
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup

from ._section import Section

RESAMPLES = 1000


def gate(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section with the mean weight of each attribute on the prompts of each subset."""
    contributions = inputs.contributions
    if contributions is None or not contributions.weights or inputs.pairs is None:
        return None
    subsets = np.array(inputs.subsets or [""] * len(inputs.pairs), dtype=object)
    groups = np.array(inputs.pairs["group"].to_pylist(), dtype=object).astype(str)
    cells: dict[tuple[str, str], Row] = {}
    masks = {"all": np.ones(len(subsets), dtype=bool)}
    masks |= {one: subsets == one for one in sorted({one for one in subsets if one})}
    for index, (subset, mask) in enumerate(masks.items()):
        rows = _means(contributions, mask, groups, (inputs.plan.seed, index))
        cells |= {(attribute, subset): row for attribute, row in rows.items()}
    if not cells:
        return None
    matrix = Matrix(
        contributions.attributes, list(masks), cells, False, None, "attribute", "subset"
    )
    note = "Mean weight over the pairs of a subset; the deeper, the more an attribute counts there."
    drawing = heat("gate-by-subset", "Mean gate weight by subset", note, matrix)
    return Section("gate", "Gate weights by subset", drawings=[drawing])


def _means(
    contributions: PairContributions,
    mask: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.str_],
    seed: Sequence[int],
) -> dict[str, Row]:
    """Return the mean weight of each attribute with its bootstrap interval over prompt groups."""
    finite = mask & np.isfinite(np.stack(contributions.weights)).all(axis=0)
    if not finite.any():
        return {}
    columns = {"rows": np.ones(int(finite.sum()))}
    columns |= {
        name: values[finite]
        for name, values in zip(contributions.attributes, contributions.weights, strict=True)
    }
    keyed = {f"{index}": values for index, values in enumerate(columns.values())}
    sums = resampled_sums(keyed, groups[finite], RESAMPLES, seed)
    rows: dict[str, Row] = {}
    for index, name in enumerate(contributions.attributes, start=1):
        low, high = percentile_interval(
            sums[f"{index}"] / sums["0"], len(np.unique(groups[finite]))
        )
        value = float(keyed[f"{index}"].mean())
        rows[name] = {"value": value, "low": low, "high": high, "n": int(finite.sum())}
    return rows
