"""The table of the ``benchmark`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, Responses, notice
from rmplug_bench._arrays import codes

from ._choices import ChoiceRule, TiesRule
from ._definitions import Definition
from ._figure_rows import NO_SUBSET, FigureRows, Groups, Row, head
from ._flags import flag
from ._models import ScoredModel, baselines, models
from ._rules import Outcomes, PairRule, Rule
from ._style_matrix import StyleMatrix
from ._sums import Cells, Weights, as_they_are, drawn, levels

SCHEMA = pa.schema(
    [("metric", pa.string()), ("subset", pa.string())]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
    + [("n", pa.int64())]
    + [(name, pa.string()) for name in ("model", "kind", "level", "row", "column")]
    + [("chance", pa.float64()), ("baseline", pa.string()), ("sentence", pa.string())]
)
RULES: dict[str, type[Rule]] = {
    "pairs": PairRule,
    "two-games": PairRule,
    "best-of-n": ChoiceRule,
    "ties": TiesRule,
    "style-matrix": StyleMatrix,
}


@dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of the ``benchmark`` step."""

    baselines: Sequence[str]
    baseline_accuracy: float
    resamples: int
    seed: int


def measure(
    data: Pairs | Responses,
    rewards: Sequence[Features],
    definition: Definition,
    asked: BenchmarkSettings,
) -> Metrics:
    """Compute all figures of all models, then those of the baselines."""
    _check_kind(data, definition)
    rule = RULES[definition.rule](data.table, definition)
    cells = _cells(data, definition, rule)
    _notice_left_out(data, definition, rule, cells)
    _notice_without_interval(data, rule, cells)
    weights = Weights.of(definition, cells.subsets)
    chance = _chance(rule, cells)
    rows: list[Row] = []
    for one in (*models(data, rewards), *baselines(data, asked.baselines, asked.seed)):
        rows += _rows_of(one, rule, cells, weights, asked)
    flag(rows, chance, asked.baseline_accuracy)
    return Metrics(pa.Table.from_pylist(rows, schema=SCHEMA))


def _check_kind(data: Pairs | Responses, definition: Definition) -> None:
    wanted = Pairs if definition.rule in ("pairs", "two-games") else Responses
    if not isinstance(data, wanted):
        raise DataError(
            f"{definition.name} is about {wanted.__name__.lower()}, and {data.name} gives "
            f"{type(data).__name__.lower()}; load it with the loader of its layout"
        )
    if not len(data):
        raise DataError(f"{definition.name}: there are no rows to measure")


def _cells(data: Pairs | Responses, definition: Definition, rule: Rule) -> Cells:
    items = pa.array(rule.items)
    subsets, subset = _names(data, "subset", items)
    values, value = _names(data, definition.by, items)
    if "all" in subsets:
        raise DataError("a subset is called 'all', the name of the whole; rename it in the data")
    group = codes(data["group"])[rule.items]
    return Cells(subsets, values, value * len(subsets) + subset, group)


def _names(
    data: Pairs | Responses, column: str | None, items: pa.Array
) -> tuple[tuple[str, ...], Any]:
    """Return the distinct values of a column in the order of the data, and each item's index in
    them."""
    if column != "subset" and column is not None and column not in data.columns:
        raise DataError(f"the benchmark is averaged by {column!r}, a column that the data lack")
    if column is None or column not in data.columns:
        return (NO_SUBSET,), np.zeros(len(items), dtype=np.int64)
    texts = pc.fill_null(pc.cast(data[column].take(items), pa.string()), NO_SUBSET)
    return tuple(texts.unique().to_pylist()), codes(texts)


def _notice_left_out(
    data: Pairs | Responses, definition: Definition, rule: Rule, cells: Cells
) -> None:
    if not definition.sections:
        return
    subset = cells.cell % len(cells.subsets)
    for index, name in enumerate(cells.subsets):
        if definition.section_of(name) is None:
            ids = data["id"].take(pa.array(rule.items[subset == index])).to_pylist()
            notice(f"subset {name!r} is in no section of {definition.name}", ids, of="items")
    named = [n for weights in definition.sections.values() for n in weights if "*" not in n]
    lacking = [name for name in named if name not in cells.subsets]
    notice(f"subset of {definition.name} that the data lack", lacking, of="subsets")


def _notice_without_interval(data: Pairs | Responses, rule: Rule, cells: Cells) -> None:
    subset = cells.cell % len(cells.subsets)
    for index, name in enumerate(cells.subsets):
        inside = subset == index
        if len(np.unique(cells.group[inside])) == 1:
            ids = data["id"].take(pa.array(rule.items[inside])).to_pylist()
            notice(f"subset {name!r} has one prompt group: no interval", ids, of="items")


def _chance(rule: Rule, cells: Cells) -> dict[str, float]:
    """Compute the share of each subset's items that a random draw gets right."""
    subset = cells.cell % len(cells.subsets)
    sums = np.bincount(subset, rule.chance, minlength=len(cells.subsets))
    return dict(zip(cells.subsets, sums / np.bincount(subset), strict=True))


def _rows_of(
    one: ScoredModel, rule: Rule, cells: Cells, weights: Weights, asked: BenchmarkSettings
) -> Iterator[Row]:
    outcomes = rule.outcomes(one.scores)
    if not outcomes.counted.any():
        yield _missing(one, outcomes)
        return
    now = as_they_are(outcomes, cells)
    present = now.items[0] > 0
    later = drawn(outcomes, cells, asked.resamples, asked.seed)
    groups = Groups.of(outcomes, cells)
    for figure in outcomes.figures:
        if one.kind == "baseline" and figure.metric.endswith("-published"):
            continue
        point = levels(now, figure, cells, weights, present)
        draws = levels(later, figure, cells, weights, present)
        yield from FigureRows(one, figure, now, cells, weights, groups).rows(point, draws)
    yield _missing(one, outcomes)


def _missing(one: ScoredModel, outcomes: Outcomes) -> Row:
    counted = outcomes.counted
    return {
        **head("missing", "all", one, "overall"),
        "value": float((~counted).sum()),
        "n": len(counted),
    }
