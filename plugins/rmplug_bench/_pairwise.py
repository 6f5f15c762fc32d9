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

from ._bootstrap import Bounds, Floats, Ints, Sums, intervals
from ._scored import Scored, baseline, characters, scored

Mask = npt.NDArray[np.bool_]
Row = dict[str, Any]

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("metric", "subset")]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
    + [("n", pa.int64()), ("model", pa.string()), ("kind", pa.string())]
)
BINS = 10
NO_BOUND: Bounds = (None, None)


@dataclass(frozen=True)
class Measured:
    """A model or a rule: columns, one number per pair, whose sums its statistics are made of."""

    name: str
    kind: str
    columns: dict[str, Floats]
    scored: Scored
    lengths: tuple[Floats, Floats]


def measure(
    data: Pairs, rewards: Sequence[Features], baselines: Sequence[str], resamples: int, seed: int
) -> Metrics:
    """All metrics of all models, the whole first, then each subset."""
    lengths = (characters(data, "chosen"), characters(data, "rejected"))
    rules = {name: right(baseline(name, data, lengths[0] - lengths[1])) for name in baselines}
    models = [_model(one, lengths, rules) for one in scored(data, rewards)]
    found = [*models, *(_rule(name, rules[name]) for name in baselines)]
    groups = _codes(data["group"])
    rows: list[Row] = []
    for place, (subset, mask) in enumerate(_subsets(data)):
        _say_when_one_group(data, subset, mask, groups[mask])
        rows += _subset_rows(found, subset, mask, groups[mask], resamples, [seed, place])
    for one in models:
        rows += _reliability(one, groups, resamples, seed)
    return Metrics(pa.Table.from_pylist(rows, schema=SCHEMA))


def _say_when_one_group(data: Pairs, subset: str, mask: Mask, groups: Ints) -> None:
    if len(np.unique(groups)) == 1:
        ids = data["id"].filter(pa.array(mask)).to_pylist()
        notice(f"subset {subset!r} has one prompt group: no interval", ids)


def right(margin: Floats) -> Floats:
    """1 where the chosen response is preferred, one half for a tie, NaN without a margin."""
    return (np.sign(margin) + 1) / 2


def _codes(column: pa.ChunkedArray) -> Ints:
    """Each distinct value of a column as a number."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return np.asarray(encoded.indices).astype(np.int64)


def _subsets(data: Pairs) -> Iterator[tuple[str, Mask]]:
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
    return Measured(name, "baseline", columns, Scored(name, preferred), (preferred, preferred))


def _model(one: Scored, lengths: tuple[Floats, Floats], rules: Mapping[str, Floats]) -> Measured:
    """Columns whose sums give every statistic; a pair without a margin adds nothing to any."""
    known = np.isfinite(one.margin)
    margin, gap = np.where(known, one.margin, 0.0), lengths[0] - lengths[1]
    preferred = right(margin)
    apart = known & (margin != 0) & (gap != 0)
    columns = {
        "n": _is(known),
        "right": preferred,
        "ties": _is(margin == 0),
        "loss": np.logaddexp(0.0, -margin),
        "margin": margin,
        "apart": _is(apart),
        "longer": _is(apart & ((margin > 0) == (gap > 0))),
        "long-n": _is(gap > 0),
        "long-right": preferred * (gap > 0),
        "short-n": _is(gap < 0),
        "short-right": preferred * (gap < 0),
        **_moments(margin, gap, known),
        **{f"right-{name}": rule for name, rule in rules.items() if name != "random"},
    }
    kept = {name: np.where(known, column, 0.0) for name, column in columns.items()}
    return Measured(one.name, "model", kept, one, lengths)


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


def _subset_rows(
    found: Sequence[Measured],
    subset: str,
    mask: Mask,
    groups: Ints,
    resamples: int,
    seed: list[int],
) -> Iterator[Row]:
    """The rows of one subset; every model sees the same resamples of its groups."""
    parts = [{name: column[mask] for name, column in one.columns.items()} for one in found]
    flat = {f"{i} {name}": part[name] for i, part in enumerate(parts) for name in part}
    limits = intervals(flat, groups, _per_model(len(found)), resamples, seed)
    for i, (one, part) in enumerate(zip(found, parts, strict=True)):
        sums = {name: column.sum() for name, column in part.items()}
        for metric, value in statistics(sums).items():
            fixed = (one.kind, one.name) == ("baseline", "random")
            bound = NO_BOUND if fixed else limits.get(f"{i} {metric}", NO_BOUND)
            n = sums[COUNTED.get(metric, "n")]
            yield _row(metric, subset, value, n, one, bound)
        if one.kind == "model":
            yield _calibration(one, subset, mask, groups, resamples, seed)
            yield from _unresampled(one, subset, mask)


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


def _unresampled(one: Measured, subset: str, mask: Mask) -> Iterator[Row]:
    """Statistics that are not functions of sums: given without an interval."""
    margin = one.scored.margin[mask]
    known = margin[np.isfinite(margin)]
    yield _row("margin-median", subset, np.median(known) if len(known) else np.nan, len(known), one)
    yield _row("missing", subset, len(margin) - len(known), len(margin), one)
    if one.scored.chosen is not None and one.scored.rejected is not None:
        scores = np.concatenate([one.scored.chosen[mask], one.scored.rejected[mask]])
        lengths = np.concatenate([length[mask] for length in one.lengths])
        has = np.isfinite(scores)
        rho = spearman(scores[has], lengths[has])
        yield _row("raw-score-length-spearman", subset, rho, int(has.sum()), one)


def _calibration(
    one: Measured, subset: str, mask: Mask, groups: Ints, resamples: int, seed: list[int]
) -> Row:
    """The calibration error; its interval costs ten sums a pair, so that only the whole has one."""
    margin = one.scored.margin[mask]
    known = np.isfinite(margin)
    value, bound = calibration_error(margin[known]), NO_BOUND
    if mask.all() and known.any():
        confidence, bins = confidence_bins(margin[known])
        off = right(margin[known]) - confidence
        gaps = {str(k): np.where(bins == k, off, 0.0) for k in range(BINS)}
        columns = {"n": np.ones(len(off)), **gaps}
        limits = intervals(columns, groups[known], _error_of_gaps, resamples, seed)
        bound = limits.get("ece", NO_BOUND)
    return _row("ece", subset, value, int(known.sum()), one, bound)


def _error_of_gaps(sums: Sums) -> dict[str, Floats]:
    gaps = np.stack([np.abs(sums[str(k)]) for k in range(BINS)])
    return {"ece": gaps.sum(axis=0) / sums["n"]}


def confidence_bins(margin: Floats) -> tuple[Floats, Ints]:
    """sigmoid(|margin|), and its tenth of 0.5 to 1, from 0 to 9."""
    confidence = 1 / (1 + np.exp(-np.abs(margin)))
    return confidence, np.minimum((confidence - 0.5) * 2 * BINS, BINS - 1).astype(np.int64)


def calibration_error(margin: Floats) -> float:
    """Mean over pairs of their bin's |accuracy - confidence|."""
    if not len(margin):
        return np.nan
    confidence, bins = confidence_bins(margin)
    return float(np.abs(np.bincount(bins, right(margin) - confidence)).sum() / len(margin))


def _reliability(one: Measured, groups: Ints, resamples: int, seed: int) -> Iterator[Row]:
    known = np.isfinite(one.scored.margin)
    confidence, bins = confidence_bins(one.scored.margin[known])
    preferred, members = right(one.scored.margin[known]), groups[known]
    for k in np.unique(bins):
        inside, name = bins == k, f"bin-{k + 1:02d}"
        columns = {"n": _is(inside)[inside], "right": preferred[inside]}
        limits = intervals(columns, members[inside], _share, resamples, [seed, 1_000_000 + int(k)])
        n = int(inside.sum())
        bound = limits.get("share", NO_BOUND)
        yield _row("reliability", name, preferred[inside].mean(), n, one, bound)
        yield _row("confidence", name, confidence[inside].mean(), n, one)


def _share(sums: Sums) -> dict[str, Floats]:
    return {"share": sums["right"] / sums["n"]}


def spearman(x: Floats, y: Floats) -> float:
    """Rank correlation with average ranks; NaN where one side is constant."""
    a, b = (_ranks(values) for values in (x, y))
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / spread) if spread else np.nan


def _ranks(values: Floats) -> Floats:
    """Average ranks, centred."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return np.asarray(ranks - ranks.mean() if len(ranks) else ranks, dtype=np.float64)


def _row(
    metric: str,
    subset: str,
    value: Any,
    n: Any,
    one: Measured,
    bound: Bounds = NO_BOUND,
) -> Row:
    return {
        "metric": metric,
        "subset": subset,
        "value": None if np.isnan(value) else float(value),
        "low": bound[0],
        "high": bound[1],
        "n": int(n),
        "model": one.name,
        "kind": one.kind,
    }
