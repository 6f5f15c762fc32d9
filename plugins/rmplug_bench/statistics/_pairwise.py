"""The table of the ``pairwise`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, notice
from rmplug_bench.baselines._scores import baseline_scores

from ._bootstrap import NO_BOUND, Bounds, Floats, Ints, Sums, intervals
from ._calibration import calibration_bounds, calibration_error, reliability, right, share_interval
from ._length_control import accuracy_at_no_gap, controlled_columns, gaps
from ._metric_rows import Row, metric_row, metrics_of
from ._rank_statistics import Ranked, Weighted, measured, median, spearman
from ._scored import Scored, characters, codes, scored

Mask = npt.NDArray[np.bool_]

SMALLEST_TENTH = 10
AXIS = "length gap, chosen minus rejected, in characters"


@dataclass(frozen=True)
class Draws:
    """How many resamples: of sums, and of ranks, which cost more; and from which seed."""

    sums: int
    ranks: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """A model or a rule: columns, one number per pair, whose sums its statistics are made of."""

    name: str
    kind: str
    columns: dict[str, Floats]
    scored: Scored
    lengths: tuple[Floats, Floats]
    gaps: Floats

    def part(self, mask: Mask) -> dict[str, Floats]:
        """The columns of some pairs; a model's with those of its accuracy at no gap, which depend
        on the pairs they are fitted to."""
        found = {name: column[mask] for name, column in self.columns.items()}
        if self.kind == "model":
            found |= controlled_columns(found["right"], self.gaps[mask], found["n"])
        return found


def measure(
    data: Pairs, rewards: Sequence[Features], baselines: Sequence[str], draws: Draws
) -> Metrics:
    """All metrics of all models, the whole first, then each subset."""
    lengths = (characters(data, "chosen"), characters(data, "rejected"))
    apart = gaps(data)
    rules = _rules(data, baselines, draws.seed)
    models = [_model(one, lengths, apart, rules) for one in scored(data, rewards)]
    found = [*models, *(_rule(name, rule) for name, rule in rules.items())]
    groups = codes(data["group"])
    rows: list[Row] = []
    for place, (subset, mask) in enumerate(subsets(data)):
        _say_when_one_group(data, subset, mask, groups[mask])
        rows += _subset_rows(found, subset, mask, groups[mask], draws, place)
    for one in models:
        rows += _reliability(one, groups, draws)
        rows += _by_length_gap(one, groups, draws)
    columns = ("metric", "subset", "value", "low", "high", "n", "model", "kind", "at", "axis")
    return metrics_of(rows, columns)


def _rules(data: Pairs, baselines: Sequence[str], seed: int) -> dict[str, Floats]:
    """Where each rule prefers the chosen response; rules with nothing to go by are left out."""
    scores = {name: baseline_scores(name, data.table, seed) for name in baselines}
    blind = [name for name, found in scores.items() if not np.isfinite(found).all()]
    notice("these rules have nothing to go by here, left out", blind, "dropped", of="rules")
    kept = {name: found for name, found in scores.items() if name not in blind}
    return {name: right(found[:, 0] - found[:, 1]) for name, found in kept.items()}


def _say_when_one_group(data: Pairs, subset: str, mask: Mask, groups: Ints) -> None:
    if len(np.unique(groups)) == 1:
        ids = data["id"].filter(pa.array(mask)).to_pylist()
        notice(f"subset {subset!r} has one prompt group: no interval", ids)


def subsets(data: Pairs) -> Iterator[tuple[str, Mask]]:
    """The whole, called ``all``, then each subset, with its rows."""
    yield "all", np.ones(len(data), dtype=bool)
    if "subset" not in data.columns:
        return
    names = pc.cast(data["subset"], pa.string())
    known = [name for name in names.unique().to_pylist() if name is not None]
    if "all" in known:
        raise DataError("a subset is called 'all', the name of the whole; rename it in the data")
    for name in known:
        yield name, np.asarray(pc.fill_null(pc.equal(names, name), False))


def _rule(name: str, preferred: Floats) -> Measured:
    columns = {"n": np.ones(len(preferred)), "right": preferred}
    if name != "random":
        columns["ties"] = _is(preferred == 0.5)
    rule = Scored(name, preferred)
    return Measured(name, "baseline", columns, rule, (preferred, preferred), preferred)


def _model(
    one: Scored, lengths: tuple[Floats, Floats], apart: Floats, rules: Mapping[str, Floats]
) -> Measured:
    """Columns whose sums give every statistic; a pair without a margin adds nothing to any."""
    known = np.isfinite(one.margin)
    margin, gap = np.where(known, one.margin, 0.0), lengths[0] - lengths[1]
    preferred = right(margin)
    decided = known & (margin != 0) & (gap != 0)
    columns = {
        "n": _is(known),
        "right": preferred,
        "ties": _is(margin == 0),
        "loss": np.logaddexp(0.0, -margin),
        "margin": margin,
        "apart": _is(decided),
        "longer": _is(decided & ((margin > 0) == (gap > 0))),
        "long-n": _is(gap > 0),
        "long-right": preferred * (gap > 0),
        "short-n": _is(gap < 0),
        "short-right": preferred * (gap < 0),
        **_moments(margin, gap, known),
        **{f"right-{name}": rule for name, rule in rules.items() if name != "random"},
    }
    kept = {name: np.where(known, column, 0.0) for name, column in columns.items()}
    return Measured(one.name, "model", kept, one, lengths, apart)


def _is(mask: Mask) -> Floats:
    return mask.astype(np.float64)


def _moments(margin: Floats, gap: Floats, known: Mask) -> dict[str, Floats]:
    """Centred first, so that sums of squares lose no digits."""
    x = gap - (gap[known].mean() if known.any() else 0.0)
    y = margin - (margin[known].mean() if known.any() else 0.0)
    return {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}


def statistics(sums: Sums) -> dict[str, Floats]:
    """Every statistic that is a function of sums, for one set of sums or for many resamples."""
    n = sums["n"]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {"accuracy": sums["right"] / n}
        if "ties" in sums:
            found["ties"] = sums["ties"] / n
        if "loss" not in sums:
            return found
        variance = sums["yy"] / n - (sums["y"] / n) ** 2
        covariance = sums["xy"] / n - sums["x"] * sums["y"] / n**2
        spread = sums["xx"] / n - (sums["x"] / n) ** 2
        product = np.sqrt(np.maximum(variance, 0) * np.maximum(spread, 0))
        found |= {
            "log-loss": sums["loss"] / n,
            "margin-mean": sums["margin"] / n,
            "margin-sd": np.sqrt(np.maximum(variance, 0)),
            "prefers-longer": sums["longer"] / sums["apart"],
            "accuracy-longer-chosen": sums["long-right"] / sums["long-n"],
            "accuracy-shorter-chosen": sums["short-right"] / sums["short-n"],
            "length-controlled-accuracy": accuracy_at_no_gap(sums),
            "margin-length-pearson": np.where(product > 1e-12, covariance / product, np.nan),
        }
        for name in sums:
            if name.startswith("right-"):
                over = (sums["right"] - sums[name]) / n
                found[f"accuracy-over-{name.removeprefix('right-')}"] = over
    return found


COUNTED = {
    "prefers-longer": "apart",
    "accuracy-longer-chosen": "long-n",
    "accuracy-shorter-chosen": "short-n",
}
"""The column that counts the pairs behind a statistic, where not all count."""
SHARES = ("accuracy", "ties", "length-controlled-accuracy", *COUNTED)


def _subset_rows(
    found: Sequence[Measured], subset: str, mask: Mask, groups: Ints, draws: Draws, place: int
) -> Iterator[Row]:
    """The rows of one subset; every model sees the same resamples of its groups."""
    parts = [one.part(mask) for one in found]
    flat = {f"{i} {name}": part[name] for i, part in enumerate(parts) for name in part}
    shares = {f"{i} {name}" for i in range(len(found)) for name in SHARES}
    seed = [draws.seed, place]
    limits = intervals(flat, groups, _per_model(len(found)), draws.sums, seed, shares)
    for i, (one, part) in enumerate(zip(found, parts, strict=True)):
        sums = {name: column.sum() for name, column in part.items()}
        for metric, value in statistics(sums).items():
            fixed = (one.kind, one.name) == ("baseline", "random")
            bound = NO_BOUND if fixed else limits.get(f"{i} {metric}", NO_BOUND)
            n = sums[COUNTED.get(metric, "n")]
            yield _row(metric, subset, value, n, one, bound)
        if one.kind == "model":
            yield _calibration(one, subset, mask, groups, draws, place)
            yield from _ranked(one, subset, mask, groups, draws, place)


def _per_model(models: int) -> Any:
    """``statistics`` of each model, from columns named ``<model number> <column>``."""

    def of_all(sums: Sums) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for i in range(models):
            head = f"{i} "
            own = {name[len(head) :]: s for name, s in sums.items() if name.startswith(head)}
            found |= {head + metric: value for metric, value in statistics(own).items()}
        return found

    return of_all


def _ranked(
    one: Measured, subset: str, mask: Mask, groups: Ints, draws: Draws, place: int
) -> Iterator[Row]:
    """Statistics of ranks: within pairs, and over all responses where their scores are known."""
    margin = one.scored.margin[mask]
    known = np.isfinite(margin)
    gap = (one.lengths[0] - one.lengths[1])[mask]
    within: dict[str, Weighted] = {
        "margin-median": median(margin[known]),
        "margin-length-spearman": spearman(Ranked(margin[known]), Ranked(gap[known])),
    }
    seed = [draws.seed, 2_000_000 + place]
    yield from _rank_rows(one, subset, within, groups[known], draws.ranks, seed)
    yield _row("missing", subset, len(margin) - int(known.sum()), len(margin), one)
    if one.scored.chosen is not None and one.scored.rejected is not None:
        scores = np.concatenate([one.scored.chosen[mask], one.scored.rejected[mask]])
        lengths = np.concatenate([length[mask] for length in one.lengths])
        has, both = np.isfinite(scores), np.tile(groups, 2)
        raw = {"raw-score-length-spearman": spearman(Ranked(scores[has]), Ranked(lengths[has]))}
        yield from _rank_rows(one, subset, raw, both[has], draws.ranks, seed)


def _rank_rows(
    one: Measured,
    subset: str,
    statistics: Mapping[str, Weighted],
    groups: Ints,
    resamples: int,
    seed: list[int],
) -> Iterator[Row]:
    for metric, (value, bound) in measured(statistics, groups, resamples, seed).items():
        yield _row(metric, subset, value, len(groups), one, bound)


def _calibration(
    one: Measured, subset: str, mask: Mask, groups: Ints, draws: Draws, place: int
) -> Row:
    """The calibration error; its interval costs ten sums a pair, so that only the whole has one."""
    margin = one.scored.margin[mask]
    known = np.isfinite(margin)
    bound = NO_BOUND
    if mask.all() and known.any():
        seed = [draws.seed, place]
        bound = calibration_bounds(margin[known], groups[known], draws.sums, seed)
    return _row("ece", subset, calibration_error(margin[known]), int(known.sum()), one, bound)


def _reliability(one: Measured, groups: Ints, draws: Draws) -> Iterator[Row]:
    known = np.isfinite(one.scored.margin)
    bins = reliability(one.scored.margin[known], groups[known], draws.sums, draws.seed)
    for name, accuracy, bound, confidence, n in bins:
        yield _row("reliability", name, accuracy, n, one, bound)
        yield _row("confidence", name, confidence, n, one)


def _by_length_gap(one: Measured, groups: Ints, draws: Draws) -> Iterator[Row]:
    """Accuracy in each tenth of the pairs by length gap; fewer parts where pairs are few."""
    known = np.isfinite(one.scored.margin)
    gap = (one.lengths[0] - one.lengths[1])[known]
    preferred, members = right(one.scored.margin[known]), groups[known]
    for k, inside in enumerate(_tenths(gap)):
        seed = [draws.seed, 3_000_000 + k]
        bound = share_interval(preferred[inside], members[inside], draws.sums, seed)
        accuracy, at = preferred[inside].mean(), float(np.median(gap[inside]))
        row = _row("accuracy-by-length-gap", "all", accuracy, int(inside.sum()), one, bound)
        yield row | {"at": at, "axis": AXIS}


def _tenths(values: Floats) -> Iterator[Mask]:
    parts = min(10, len(values) // SMALLEST_TENTH)
    if parts:
        edges = np.quantile(values, np.arange(1, parts) / parts)
        places = np.searchsorted(edges, values, side="left")
        yield from (places == k for k in np.unique(places))


def _row(
    metric: str, subset: str, value: Any, n: Any, one: Measured, bound: Bounds = NO_BOUND
) -> Row:
    return metric_row(metric, subset, value, n, bound, model=one.name, kind=one.kind)
