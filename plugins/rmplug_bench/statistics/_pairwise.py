"""The table of the ``pairwise`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, notice
from rmplug.stats.bootstrap import Sums, intervals, units_of
from rmplug.stats.calibration import calibration_error, reliability, right
from rmplug.stats.estimates import mean, spearman
from rmplug.stats.intervals import NO_BOUND, Bounds, median_interval
from rmplug_bench._arrays import Floats, Ints, codes
from rmplug_bench.baselines._scores import baseline_scores
from rmplug_bench.baselines._text_measures import TextCounts

from ._columns import COUNTED, SHARES, Mask, SharedColumns, baseline_sums, model_sums, statistics
from ._length_control import gaps
from ._metric_rows import Row, metric_row, metrics_of
from ._scored import Scored, scored

SMALLEST_TENTH = 10
AXIS = "length gap, chosen minus rejected, in characters"
COLUMNS = ("metric", "subset", "value", "low", "high", "n", "model", "kind", "at", "axis")


@dataclass(frozen=True)
class Part:
    """The rows of a subset, and how their intervals are drawn."""

    subset: str
    mask: Mask
    """The rows of the data that are in the subset."""
    groups: Ints
    """The group of each of these rows."""
    resamples: int
    seed: list[int]


def measure(
    data: Pairs, rewards: Sequence[Features], baselines: Sequence[str], resamples: int, seed: int
) -> Metrics:
    """Compute all metrics of all models, the whole first, then each subset."""
    models, groups, counts = scored(data, rewards), codes(data["group"]), TextCounts(data)
    lengths = counts.characters("chosen"), counts.characters("rejected")
    beside = SharedColumns(*lengths, gaps(counts), _preferences(counts, baselines, seed))
    rows: list[Row] = []
    for number, (subset, mask) in enumerate(subsets(data)):
        part = Part(subset, mask, groups[mask], resamples, [seed, number])
        _notice_one_group(data, part)
        for one in models:
            rows += _of_model(one, beside, part)
        rows += _of_baselines(beside.baselines, part)
    for one in models:
        rows += _reliability(one, groups)
        rows += _by_length_gap(one, beside.length_gap, groups)
    return metrics_of(rows, COLUMNS)


def _preferences(counts: TextCounts, baselines: Sequence[str], seed: int) -> dict[str, Floats]:
    """Return the preference of each baseline for the chosen response; a notice names those left
    out."""
    preferences: dict[str, Floats] = {}
    blind = []
    for name in baselines:
        scores = baseline_scores(name, counts, seed)
        if np.isfinite(scores).all():
            preferences[name] = right(scores[:, 0] - scores[:, 1])
        else:
            blind.append(name)
    notice("these rules have nothing to go by here, left out", blind, "dropped", of="rules")
    return preferences


def _notice_one_group(data: Pairs, part: Part) -> None:
    if len(np.unique(part.groups)) == 1:
        ids = data["id"].filter(pa.array(part.mask)).to_pylist()
        notice(f"subset {part.subset!r} has one prompt group: no interval", ids)


def subsets(data: Pairs) -> Iterator[tuple[str, Mask]]:
    """Yield the whole, called ``all``, then each subset, with its rows."""
    yield "all", np.ones(len(data), dtype=bool)
    if "subset" not in data.columns:
        return
    names = pc.cast(data["subset"], pa.string())
    present = [name for name in names.unique().to_pylist() if name is not None]
    if "all" in present:
        raise DataError("a subset is called 'all', the name of the whole; rename it in the data")
    for name in present:
        yield name, np.asarray(pc.fill_null(pc.equal(names, name), False))


def _of_model(one: Scored, beside: SharedColumns, part: Part) -> Iterator[Row]:
    """Yield the rows of a model in one subset; all models have the same resamples of its groups."""
    subset, mask, groups = part.subset, part.mask, part.groups
    by_unit = model_sums(one, beside, np.flatnonzero(mask), units_of(groups, part.seed))
    units = np.arange(len(by_unit["n"]))
    bounds = intervals(by_unit, units, statistics, part.resamples, part.seed, SHARES)
    sums = {name: np.asarray(column.sum()) for name, column in by_unit.items()}
    for metric, value in statistics(sums).items():
        n = sums[COUNTED.get(metric, "n")]
        yield _row(metric, subset, value, n, one.name, bounds.get(metric, NO_BOUND))
    margin = one.margin[mask]
    finite = np.isfinite(margin)
    yield from _calibration(one.name, subset, margin[finite], groups[finite], part.seed[0])
    gap = beside.length_gap[mask]
    yield from _ranks(one.name, subset, margin[finite], gap[finite], groups[finite])
    yield _row("missing", subset, len(margin) - int(finite.sum()), len(margin), one.name)
    yield from _raw_ranks(one, beside, part)


def _calibration(model: str, subset: str, margin: Floats, groups: Ints, seed: int) -> Iterator[Row]:
    error = calibration_error(margin, groups, seed)
    yield _row("ece", subset, error.debiased, len(margin), model, error.bounds)
    yield _row("ece-plug-in", subset, error.plug_in, len(margin), model)
    yield _row("ece-by-chance", subset, error.by_chance, len(margin), model)


def _ranks(model: str, subset: str, margin: Floats, gap: Floats, groups: Ints) -> Iterator[Row]:
    """Yield the median margin, and the rank correlation of margin and length gap within pairs."""
    n = len(margin)
    middle = np.median(margin) if n else np.nan
    bounds = median_interval(margin, groups) if n else NO_BOUND
    yield _row("margin-median", subset, middle, n, model, bounds)
    rank = spearman(margin, gap)
    bounds = rank.interval(groups)
    yield _row("margin-length-spearman", subset, rank.value, n, model, bounds)


def _raw_ranks(one: Scored, beside: SharedColumns, part: Part) -> Iterator[Row]:
    """Yield the rank correlation of score and length over all responses with a score."""
    if one.chosen is None or one.rejected is None:
        return
    scores = np.concatenate([side[part.mask] for side in (one.chosen, one.rejected)])
    sides = (beside.chosen_length, beside.rejected_length)
    lengths = np.concatenate([side[part.mask] for side in sides])
    has = np.isfinite(scores)
    rank = spearman(scores[has], lengths[has])
    bounds = rank.interval(np.tile(part.groups, 2)[has])
    n = int(has.sum())
    yield _row("raw-score-length-spearman", part.subset, rank.value, n, one.name, bounds)


def _of_baselines(baselines: Mapping[str, Floats], part: Part) -> Iterator[Row]:
    units = units_of(part.groups, part.seed)
    each = {name: baseline_sums(p[part.mask], name, units) for name, p in baselines.items()}
    flat = {f"{name} {key}": own[key] for name, own in each.items() for key in own}
    shares = {f"{name} {metric}" for name in each for metric in SHARES}
    drawn = np.unique(units)
    bounds = intervals(flat, drawn, _of_each, part.resamples, part.seed, shares) if flat else {}
    for name, own in each.items():
        sums = {key: np.asarray(column.sum()) for key, column in own.items()}
        for metric, value in statistics(sums).items():
            bound = NO_BOUND if name == "random" else bounds.get(f"{name} {metric}", NO_BOUND)
            yield _row(metric, part.subset, value, sums["n"], name, bound, "baseline")


def _of_each(sums: Sums) -> dict[str, Floats]:
    """Compute ``statistics`` of each baseline, from columns named ``<baseline> <column>``."""
    own: dict[str, dict[str, Floats]] = {}
    for name, values in sums.items():
        baseline, _, column = name.partition(" ")
        own.setdefault(baseline, {})[column] = values
    return {
        f"{baseline} {metric}": value
        for baseline, columns in own.items()
        for metric, value in statistics(columns).items()
    }


def _reliability(one: Scored, groups: Ints) -> Iterator[Row]:
    finite = np.isfinite(one.margin)
    for name, accuracy, bound, confidence, n in reliability(one.margin[finite], groups[finite]):
        yield _row("reliability", name, accuracy, n, one.name, bound)
        yield _row("confidence", name, confidence, n, one.name)


def _by_length_gap(one: Scored, length_gap: Floats, groups: Ints) -> Iterator[Row]:
    """Yield accuracy in each tenth of the pairs by length gap; fewer parts if pairs are few."""
    finite = np.isfinite(one.margin)
    gap, preferred, members = length_gap[finite], right(one.margin[finite]), groups[finite]
    for inside in _tenths(gap):
        accuracy = mean(preferred[inside], "share")
        bound = accuracy.interval(members[inside])
        n, at = int(inside.sum()), float(np.median(gap[inside]))
        row = _row("accuracy-by-length-gap", "all", accuracy.value, n, one.name, bound)
        yield row | {"at": at, "axis": AXIS}


def _tenths(values: Floats) -> Iterator[Mask]:
    parts = min(10, len(values) // SMALLEST_TENTH)
    if parts:
        edges = np.quantile(values, np.arange(1, parts) / parts)
        tenth = np.searchsorted(edges, values, side="left")
        yield from (tenth == k for k in np.unique(tenth))


def _row(
    metric: str,
    subset: str,
    value: Any,
    n: Any,
    model: str,
    bound: Bounds = NO_BOUND,
    kind: str = "model",
) -> Row:
    return metric_row(metric, subset, value, n, bound, model=model, kind=kind)
