"""The table of the ``best-of-n`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Responses, notice
from rmplug.stats.bootstrap import Sums, intervals
from rmplug.stats.intervals import NO_BOUND
from rmplug_bench._arrays import Floats, Ints, codes
from rmplug_bench.rules._models import ScoredModel, baselines, models
from rmplug_bench.statistics._metric_rows import Row, metric_row, metrics_of

from ._best_of_n import ndcg, order_of, top
from ._best_of_n_curves import Curves, Truth
from ._concordance import kendall
from ._judged import choices_of, labels_of, parts_of, subset_names

COLUMNS = (
    *("metric", "subset", "value", "low", "high", "n", "model", "kind"),
    *("at", "axis", "kl", "sentence"),
)


def measure(
    data: Responses,
    rewards: Sequence[Features],
    gold: Features | None,
    sizes: Sequence[int] | None,
    baseline_names: Sequence[str],
    resamples: int,
    seed: int,
) -> Metrics:
    """Measure curves against N, for a label or a gold score, and agreement with ratings."""
    judges = [*models(data, rewards), *baselines(data, baseline_names, seed)]
    worth = None if gold is None else models(data, [gold])[0].scores
    truths, ratings = _truths(data, worth), _ratings(data, worth)
    if not truths and not ratings:
        raise DataError(
            "choosing the best of N needs something to judge it by: a column 'label', columns "
            "'ratings.<name>', or the input 'gold', a table with a score of each response"
        )
    rows: list[Row] = []
    choice = choices_of(data)
    if truths:
        rows += _curves(data, choice, judges, truths, sizes, resamples, seed)
    for number, (name, values) in enumerate(ratings.items()):
        drawn = [seed, 1_000_000 + number]
        for judge in judges:
            rows += _rated(data, choice, judge, name, values, resamples, drawn)
    return metrics_of(rows, COLUMNS)


def _truths(data: Responses, gold: Floats | None) -> list[Truth]:
    truths = []
    if "label" in data.columns:
        truths.append(Truth("best-of-n-accuracy", labels_of(data), True))
    if gold is not None:
        truths.append(Truth("best-of-n-gold", gold, False))
    return truths


def _ratings(data: Responses, gold: Floats | None) -> dict[str, Floats]:
    names = [name for name in data.columns if name.startswith("ratings.")]
    ratings = {
        name.removeprefix("ratings."): np.asarray(
            pc.cast(data[name], pa.float64()).to_numpy(), dtype=np.float64
        )
        for name in names
    }
    return ratings | ({} if gold is None else {"gold": gold})


def _curves(
    data: Responses,
    choice: Ints,
    judges: Sequence[ScoredModel],
    truths: Sequence[Truth],
    sizes: Sequence[int] | None,
    resamples: int,
    seed: int,
) -> Iterator[Row]:
    """Yield curves over complete choices with as many responses as the largest N.

    Every N is thus measured on the same prompts.
    """
    firsts = np.unique(choice, return_index=True)[1]
    needed = np.stack([*(judge.scores for judge in judges), *(truth.values for truth in truths)])
    lacks = np.bincount(choice, ~np.isfinite(needed).all(axis=0)) > 0
    count = np.bincount(choice)
    chosen = _sizes(count[~lacks], sizes)
    few = ~lacks & (count < chosen[-1])
    _left_out(data, firsts[lacks], "choices with a response that has no score, left out")
    _left_out(data, firsts[few], f"choices with fewer than {chosen[-1]} responses, left out")
    kept = firsts[~lacks & ~few]
    groups = codes(data["group"])
    for number, (subset, mask) in enumerate(parts_of(subset_names(data, kept))):
        rows = np.flatnonzero(np.isin(choice, choice[kept[mask]]))
        numbered = np.unique(choice[rows], return_inverse=True)[1]
        members = groups[kept[mask]]
        curves = Curves(subset, rows, numbered, members, chosen, resamples, (seed, number))
        yield from curves.rows(judges, truths)


def _left_out(data: Responses, rows: Ints, what: str) -> None:
    notice(what, data["id"].take(pa.array(rows)).to_pylist(), "dropped")


def _sizes(count: Ints, sizes: Sequence[int] | None) -> tuple[int, ...]:
    """Return 1 and the requested N, or powers of two and the largest N that half of the choices
    have."""
    if sizes:
        return tuple(sorted({1, *sizes}))
    largest = int(np.median(count)) if len(count) else 1
    powers = 2 ** np.arange(int(np.log2(largest)) + 1)
    return tuple(sorted({*powers.tolist(), largest}))


def _rated(
    data: Responses,
    choice: Ints,
    judge: ScoredModel,
    name: str,
    ratings: Floats,
    resamples: int,
    seed: list[int],
) -> Iterator[Row]:
    """Measure one judge's order of the rated responses of each choice whose ratings differ."""
    groups = codes(data["group"])
    rows = np.flatnonzero(np.isfinite(ratings) & np.isfinite(judge.scores))
    order = order_of(np.unique(choice[rows], return_inverse=True)[1], ratings[rows])
    rows = rows[~order.all_tied()]
    firsts = rows[np.unique(choice[rows], return_index=True)[1]]
    numbered = np.unique(choice[rows], return_inverse=True)[1]
    own, scores = ratings[rows], judge.scores[rows]
    by_score = order_of(numbered, scores)
    measured = {
        f"kendall-{name}": kendall(numbered, scores, own),
        f"ndcg-{name}": ndcg(by_score, own - min(0.0, float(own.min(initial=0.0)))),
        f"top-1-{name}": top(by_score, own),
    }
    for subset, mask in parts_of(subset_names(data, firsts)):
        part = {metric: values[mask] for metric, values in measured.items()}
        yield from _means(judge, subset, part, groups[firsts[mask]], resamples, seed)


def _means(
    judge: ScoredModel,
    subset: str,
    measured: Mapping[str, Floats],
    groups: Ints,
    resamples: int,
    seed: list[int],
) -> Iterator[Row]:
    """Yield the mean of each number over the choices in which it exists."""
    for metric, values in measured.items():
        finite = np.isfinite(values)
        columns = {"n": finite.astype(np.float64), "x": np.nan_to_num(values)}
        shares = ("mean",) if metric.startswith("top-1") else ()
        limits = intervals(columns, groups, _mean, resamples, seed, shares)
        value = values[finite].mean() if finite.any() else np.nan
        names = {"model": judge.name, "kind": judge.kind}
        yield metric_row(metric, subset, value, finite.sum(), limits.get("mean", NO_BOUND), **names)


def _mean(sums: Sums) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"mean": sums["x"] / sums["n"]}
