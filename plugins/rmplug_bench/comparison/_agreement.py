"""The table of the ``agreement`` evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, Responses, notice
from rmplug.errors import some
from rmplug.stats.bootstrap import Statistics, Sums, intervals
from rmplug.stats.estimates import spearman
from rmplug.stats.intervals import NO_BOUND, Bounds
from rmplug_bench._arrays import Floats, Ints, codes
from rmplug_bench.rules._models import ScoredModel, baselines, models
from rmplug_bench.statistics._metric_rows import Row, metric_row, metrics_of

from ._best_of_n import first_ranks, order_of
from ._concordance import kendall
from ._judged import choices_of, parts_of, subset_names
from ._rank_agreement import (
    LABEL,
    OrderNumber,
    is_rating_list,
    orders_of_responses,
    over_prompts,
    references_of,
    within_choices,
)

COLUMNS = ("metric", "subset", "value", "low", "high", "n", "row", "column")
OF_REFERENCES = ("gamma", "somers-d")
"""Metrics of a model, in the row, and of a reference, in the column."""
SHARES = ("same-decision", "opposite-decision", "same-choice", "all-right", "all-wrong")


@dataclass(frozen=True)
class Ratings:
    """Names of ratings that repeat each other, and of those that models are compared with."""

    repeats: Sequence[str] = ()
    references: Sequence[str] = ()


@dataclass(frozen=True)
class Draws:
    """Number of resamples, and their seed."""

    sums: int
    seed: int


def agreement(
    data: Pairs | Responses,
    rewards: Sequence[Features],
    baseline_names: Sequence[str],
    ratings: Ratings,
    draws: Draws,
) -> Metrics:
    """Measure every two models, and models with baselines and the label; whole and subsets."""
    judges = [*models(data, rewards), *baselines(data, baseline_names, draws.seed)]
    if any(judge.name == LABEL for judge in judges):
        raise DataError("a reward is called 'label', the name of the label; rename its step")
    scored = np.isfinite(np.stack([judge.scores for judge in judges])).all(axis=0)
    choice = choices_of(data) if isinstance(data, Responses) else np.arange(len(data))
    scored = (np.bincount(choice, ~scored) == 0)[choice]
    left_out = data["id"].filter(pa.array(~scored)).to_pylist()
    notice("rows that not every model scores, left out", left_out, "dropped")
    kept = data.take(np.flatnonzero(scored))
    judges = [judge.take(scored) for judge in judges]
    rows: list[Row] = []
    if isinstance(kept, Pairs):
        rows += _of_pairs(kept, judges, draws)
    else:
        rows += _of_choices(kept, choice[scored], judges, ratings.references, draws)
        if ratings.repeats:
            rows.append(_of_repeats(kept, judges, ratings.repeats, draws))
    return metrics_of(rows, COLUMNS)


def _of_pairs(data: Pairs, judges: Sequence[ScoredModel], draws: Draws) -> Iterator[Row]:
    signs = {judge.name: np.sign(judge.scores) for judge in judges}
    groups = codes(data["group"])
    signs[LABEL] = np.ones(len(groups))
    own = [judge.name for judge in judges if judge.kind == "model"]
    margins = {judge.name: judge.scores for judge in judges if judge.name != "random"}
    for number, (subset, mask) in enumerate(parts_of(subset_names(data, np.arange(len(groups))))):
        part = {name: sign[mask] for name, sign in signs.items()}
        columns = _sign_columns(part, own)
        statistics = _sign_statistics(list(part))
        yield from _cells(columns, groups[mask], statistics, subset, draws, number)
        for one, two in combinations(margins, 2):
            rank = spearman(margins[one][mask], margins[two][mask])
            bound = rank.interval(groups[mask])
            key = f"margin-spearman\n{one}\n{two}"
            yield from _cell(key, subset, rank.value, int(mask.sum()), bound)
        sides = {
            judge.name: judge.sides[mask].ravel()
            for judge in judges
            if judge.name != "random" and judge.sides is not None
        }
        yield from _order_cells(over_prompts(sides, np.repeat(groups[mask], 2)), subset)


def _order_cells(numbers: Iterable[OrderNumber], subset: str) -> Iterator[Row]:
    for one in numbers:
        bound = one.estimate.interval(one.groups) if one.n else NO_BOUND
        yield from _cell(one.key, subset, one.estimate.value, one.n, bound)


def _sign_columns(signs: Mapping[str, Floats], models: Sequence[str]) -> dict[str, Floats]:
    """Return ties of each, equal and opposite decisions of every two, and unanimous right and
    wrong ones."""
    columns = {f"tie\n{name}": (sign == 0) * 1.0 for name, sign in signs.items()}
    for one, two in combinations(signs, 2):
        columns[f"same\n{one}\n{two}"] = (signs[one] == signs[two]) * 1.0
        columns[f"opposite\n{one}\n{two}"] = (signs[one] * signs[two] < 0) * 1.0
    decisions = np.stack([signs[name] for name in models])
    columns["all-right"] = (decisions > 0).all(axis=0) * 1.0
    columns["all-wrong"] = (decisions < 0).all(axis=0) * 1.0
    return columns


def _sign_statistics(names: Sequence[str]) -> Statistics:
    def statistics(sums: Sums) -> dict[str, Floats]:
        n = np.maximum(sums["n"], 1)
        values = {name: sums[name] / n for name in ("all-right", "all-wrong")}
        for one, two in combinations(names, 2):
            same = sums[f"same\n{one}\n{two}"] / n
            ties = [sums[f"tie\n{name}"] / n for name in (one, two)]
            by_chance = ties[0] * ties[1] + (1 - ties[0]) * (1 - ties[1]) / 2
            values[f"same-decision\n{one}\n{two}"] = same
            values[f"opposite-decision\n{one}\n{two}"] = sums[f"opposite\n{one}\n{two}"] / n
            values[f"kappa\n{one}\n{two}"] = _over_chance(same, by_chance)
        return values

    return statistics


def _over_chance(same: Floats, by_chance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(by_chance < 1, (same - by_chance) / (1 - by_chance), np.nan))


def _of_choices(
    data: Responses,
    choice: Ints,
    judges: Sequence[ScoredModel],
    ratings: Sequence[str],
    draws: Draws,
) -> Iterator[Row]:
    _, firsts, choice = np.unique(choice, return_index=True, return_inverse=True)
    groups = codes(data["group"])
    scores = {judge.name: judge.scores for judge in judges}
    references = references_of(data, ratings, scores)
    columns = _choice_columns(choice, scores, references)
    orders = {name: own for name, own in scores.items() if name != "random"}
    for number, (subset, mask) in enumerate(parts_of(subset_names(data, firsts))):
        rows = mask[choice]
        rated = is_rating_list(choice[rows], groups[rows])
        # tau-b of a rating list has its interval from what is rated, below
        part = {name: column[mask] for name, column in columns.items()
                if not (rated and name.startswith("tau\n"))}  # fmt: skip
        for name in [name for name in part if name.startswith("tau\n")]:
            part[name.replace("tau\n", "finite\n", 1)] = np.isfinite(part[name]) * 1.0
            part[name] = np.nan_to_num(part[name])
        yield from _cells(part, groups[firsts][mask], _choice_statistics, subset, draws, number)
        ranked = orders_of_responses(
            {name: own[rows] for name, own in orders.items()},
            {name: own[rows] for name, own in references.items()},
            choice[rows],
            groups[rows],
        )
        yield from _order_cells(ranked, subset)


def _choice_columns(
    choice: Ints, scores: Mapping[str, Floats], references: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return, per choice, chance, equal choices of every two, and tau-b."""
    orders = {name: order_of(choice, own) for name, own in scores.items()}
    columns = {"chance": 1 / np.bincount(choice)}
    for one, two in combinations(scores, 2):
        both = first_ranks(orders[one]) * first_ranks(orders[two])
        columns[f"same\n{one}\n{two}"] = orders[one].sum_of(both)
        columns[f"tau\n{one}\n{two}"] = kendall(choice, scores[one], scores[two])
    for reference, values in references.items():
        for name, own in scores.items():
            columns[f"tau\n{name}\n{reference}"] = within_choices(choice, own, values)
    return columns


def _choice_statistics(sums: Sums) -> dict[str, Floats]:
    values: dict[str, Floats] = {}
    n = np.maximum(sums["n"], 1)
    for name, total in sums.items():
        kind, _, both = name.partition("\n")
        if kind == "same":
            values[f"same-choice\n{both}"] = total / n
            values[f"kappa\n{both}"] = _over_chance(total / n, sums["chance"] / n)
        elif kind == "tau":
            with np.errstate(divide="ignore", invalid="ignore"):
                values[f"kendall\n{both}"] = np.asarray(total / sums[f"finite\n{both}"])
    return values


def _cells(
    columns: dict[str, Floats],
    groups: Ints,
    statistics: Statistics,
    subset: str,
    draws: Draws,
    number: int,
) -> Iterator[Row]:
    """Yield statistics of sums, each a cell of a matrix, with their intervals."""
    columns = {"n": np.ones(len(groups)), **columns}
    sums = {name: np.asarray(column.sum()) for name, column in columns.items()}
    values = statistics(sums)
    shares = {key for key in values if key.partition("\n")[0] in SHARES}
    limits = intervals(columns, groups, statistics, draws.sums, [draws.seed, number], shares)
    for key, value in values.items():
        counted = sums.get(f"finite\n{key.partition(chr(10))[2]}", sums["n"])
        n = counted if key.startswith("kendall\n") else sums["n"]
        yield from _cell(key, subset, float(value) if n else np.nan, int(n), limits.get(key))


def _cell(key: str, subset: str, value: float, n: int, bound: Bounds | None) -> Iterator[Row]:
    """Yield a number about two models, in both cells of the matrix; about a model and a reference,
    in one; or about all models."""
    metric, *both = key.split("\n")
    limits = bound or NO_BOUND
    if not both:
        yield metric_row(metric, subset, value, n, limits)
        return
    for one, two in [both] if metric in OF_REFERENCES else [both, both[::-1]]:
        yield metric_row(metric, subset, value, n, limits, row=one, column=two)


def _of_repeats(
    data: Responses, judges: Sequence[ScoredModel], repeats: Sequence[str], draws: Draws
) -> Row:
    """Compute Krippendorff's alpha of ratings that repeat each other."""
    scores = {judge.name: judge.scores for judge in judges}
    ratings = np.stack([_repeat(data, scores, name) for name in repeats])
    columns = alpha_columns(ratings)
    groups = codes(data["group"])
    value = float(alpha({name: column.sum() for name, column in columns.items()})["alpha"])
    limits = intervals(columns, groups, alpha, draws.sums, [draws.seed, 3_000_000])
    rated = int((columns["values"] > 0).sum())
    return metric_row("krippendorff-alpha", "all", value, rated, limits.get("alpha", NO_BOUND))


def _repeat(data: Responses, scores: Mapping[str, Floats], name: str) -> Floats:
    if name in scores:
        return scores[name]
    if f"ratings.{name}" not in data.columns:
        names = [c.removeprefix("ratings.") for c in data.columns if c.startswith("ratings.")]
        raise DataError(
            f"there is no rating {name!r} to repeat another; there are {some([*scores, *names])}"
        )
    column = pc.cast(data[f"ratings.{name}"], pa.float64())
    return np.asarray(column.to_numpy(), dtype=np.float64)


def alpha_columns(ratings: Floats) -> dict[str, Floats]:
    """Return columns whose sums give alpha, from values of shape (ratings, responses).

    NaN stands for no value; a response with fewer than two values adds nothing.
    """
    finite = np.isfinite(ratings)
    number = finite.sum(axis=0).astype(np.float64)
    number[number < 2] = 0
    used = finite & (number > 0)
    middle = ratings[used].mean() if used.any() else 0.0
    values = np.where(used, ratings - middle, 0.0)
    first, second = values.sum(axis=0), (values**2).sum(axis=0)
    within = second - first**2 / np.maximum(number, 1)
    pairs = number / np.maximum(number - 1, 1)
    return {"values": number, "first": first, "second": second, "within": within * pairs}


def alpha(sums: Sums) -> dict[str, Floats]:
    """Compute 1 minus disagreement within responses over that among all values, as squared
    differences."""
    n = sums["values"]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (sums["second"] - sums["first"] ** 2 / n) / (n - 1)
        values = np.where(total > 1e-12, 1 - sums["within"] / n / total, np.nan)
    return {"alpha": np.asarray(values, dtype=np.float64)}
