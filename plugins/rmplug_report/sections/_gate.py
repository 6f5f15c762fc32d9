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
    groups = np.asarray(inputs.pairs["group"].combine_chunks().dictionary_encode().indices)
    cells: dict[tuple[str, str], Row] = {}
    parts = {"all": np.arange(len(inputs.pairs)), **dict(sorted(inputs.rows_by_subset.items()))}
    for index, (subset, part) in enumerate(parts.items()):
        rows = _means(contributions, part, groups, (inputs.plan.seed, index))
        cells |= {(attribute, subset): row for attribute, row in rows.items()}
    if not cells:
        return None
    matrix = Matrix(
        contributions.attributes, list(parts), cells, False, None, "attribute", "subset"
    )
    note = "Mean weight over the pairs of a subset; the deeper, the more an attribute counts there."
    drawing = heat("gate-by-subset", "Mean gate weight by subset", note, matrix)
    lead = ["How much each attribute counts, by the prompts of each subset."]
    return Section("gate", "Gate weights by subset", lead, drawings=[drawing])


def _means(
    contributions: PairContributions,
    part: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    seed: Sequence[int],
) -> dict[str, Row]:
    """Return the mean weight of each attribute with its bootstrap interval over prompt groups."""
    finite = part[np.isfinite(np.stack(contributions.weights)[:, part]).all(axis=0)]
    if not len(finite):
        return {}
    columns = {"rows": np.ones(len(finite))}
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
        rows[name] = {"value": value, "low": low, "high": high, "n": len(finite)}
    return rows
