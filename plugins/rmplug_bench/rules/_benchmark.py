"""The table of the ``benchmark`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, Responses, notice
from rmplug.stats.interval_texts import interval_text
from rmplug.stats.intervals import Bounds, percentile_interval, share_interval
from rmplug_bench.baselines.names import LEARNT
from rmplug_bench.statistics._scored import codes

from ._choices import ChoiceRule, TiesRule
from ._definitions import Definition
from ._models import Model, baselines, models
from ._rules import Figure, Floats, Ints, Outcomes, PairRule, Rule
from ._style_matrix import StyleMatrix
from ._sums import Cells, Levels, Sums, Weights, as_they_are, drawn, levels

Row: TypeAlias = dict[str, Any]

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
NO_SUBSET = "(none)"


@dataclass(frozen=True)
class Asked:
    """What the step was asked for."""

    baselines: Sequence[str]
    baseline_accuracy: float
    resamples: int
    seed: int


def measure(
    data: Pairs | Responses, rewards: Sequence[Features], definition: Definition, asked: Asked
) -> Metrics:
    """All figures of all models, then those of the baselines."""
    _check_kind(data, definition)
    rule = RULES[definition.rule](data.table, definition)
    cells = _cells(data, definition, rule)
    _say_what_is_left_out(data, definition, rule, cells)
    _say_without_interval(data, rule, cells)
    weights = Weights.of(definition, cells.subsets)
    chance = _chance(rule, cells)
    rows: list[Row] = []
    for one in (*models(data, rewards), *baselines(data, asked.baselines, asked.seed)):
        rows += _rows_of(one, rule, cells, weights, asked)
    _flag(rows, chance, asked.baseline_accuracy)
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
    """The distinct values of a column in the order of the data, and which one each item has."""
    if column != "subset" and column is not None and column not in data.columns:
        raise DataError(f"the benchmark is averaged by {column!r}, a column that the data lack")
    if column is None or column not in data.columns:
        return (NO_SUBSET,), np.zeros(len(items), dtype=np.int64)
    texts = pc.fill_null(pc.cast(data[column].take(items), pa.string()), NO_SUBSET)
    return tuple(texts.unique().to_pylist()), codes(texts)


def _say_what_is_left_out(
    data: Pairs | Responses, definition: Definition, rule: Rule, cells: Cells
) -> None:
    if not definition.sections:
        return
    subset = cells.cell % len(cells.subsets)
    for place, name in enumerate(cells.subsets):
        if definition.section_of(name) is None:
            ids = data["id"].take(pa.array(rule.items[subset == place])).to_pylist()
            notice(f"subset {name!r} is in no section of {definition.name}", ids, of="items")
    named = [n for weights in definition.sections.values() for n in weights if "*" not in n]
    lacking = [name for name in named if name not in cells.subsets]
    notice(f"subset of {definition.name} that the data lack", lacking, of="subsets")


def _say_without_interval(data: Pairs | Responses, rule: Rule, cells: Cells) -> None:
    subset = cells.cell % len(cells.subsets)
    for place, name in enumerate(cells.subsets):
        inside = subset == place
        if len(np.unique(cells.group[inside])) == 1:
            ids = data["id"].take(pa.array(rule.items[inside])).to_pylist()
            notice(f"subset {name!r} has one prompt group: no interval", ids, of="items")


def _chance(rule: Rule, cells: Cells) -> dict[str, float]:
    """The share of each subset's items that a draw gets right."""
    subset = cells.cell % len(cells.subsets)
    sums = np.bincount(subset, rule.chance, minlength=len(cells.subsets))
    return dict(zip(cells.subsets, sums / np.bincount(subset), strict=True))


def _rows_of(one: Model, rule: Rule, cells: Cells, weights: Weights, asked: Asked) -> Iterator[Row]:
    outcomes = rule.outcomes(one.scores)
    if not outcomes.known.any():
        yield _missing(one, outcomes)
        return
    now = as_they_are(outcomes, cells)
    present = now.items[0] > 0
    later = drawn(outcomes, cells, asked.resamples, asked.seed)
    groups = _Groups.of(outcomes, cells)
    for figure in outcomes.figures:
        if one.kind == "baseline" and figure.metric.endswith("-published"):
            continue
        point = levels(now, figure, cells, weights, present)
        draws = levels(later, figure, cells, weights, present)
        yield from _Table(one, figure, now, cells, weights, groups).rows(point, draws)
    yield _missing(one, outcomes)


def _missing(one: Model, outcomes: Outcomes) -> Row:
    known = outcomes.known
    return {
        **_head("missing", "all", one, "overall"),
        "value": float((~known).sum()),
        "n": len(known),
    }


@dataclass(frozen=True)
class _Groups:
    """Which prompt groups have items in which subset."""

    subset: Ints
    group: Ints
    known: dict[tuple[int, ...], int]

    @classmethod
    def of(cls, outcomes: Outcomes, cells: Cells) -> _Groups:
        known, subset = outcomes.known, cells.cell % len(cells.subsets)
        pairs = np.unique(np.stack([subset[known], cells.group[known]], axis=1), axis=0)
        return cls(pairs[:, 0], pairs[:, 1], {})

    def free(self, places: Ints) -> int:
        """How many groups can vary: those of these subsets, less one for each further subset."""
        key = tuple(places.tolist())
        if key not in self.known:
            inside = np.isin(self.subset, places)
            subsets = len(np.unique(self.subset[inside]))
            self.known[key] = len(np.unique(self.group[inside])) - subsets + 1
        return self.known[key]


def _head(metric: str, subset: str, one: Model, level: str) -> Row:
    head = {"metric": metric, "subset": subset, "model": one.name, "kind": one.kind}
    return {**head, "level": level}


@dataclass(frozen=True)
class _Table:
    """Makes the rows of one figure of one model."""

    one: Model
    figure: Figure
    now: Sums
    cells: Cells
    weights: Weights
    groups: _Groups

    def rows(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """The whole, values of ``by``, sections, subsets."""
        inside = self._inside()
        yield self._row("all", "overall", point.overall, draws.overall, inside)
        for place, name in enumerate(point.values):
            value, drawn = point.values[name], draws.values[name]
            yield self._row(name, "section", value, drawn, inside, place)
        for name, places in zip(self.weights.sections, self.weights.members, strict=True):
            yield self._row(name, "section", point.sections[name], draws.sections[name], places)
        if self.cells.subsets != (NO_SUBSET,) and self.figure.row is None:
            yield from self._subsets(point, draws)

    def _inside(self) -> Ints:
        members = self.weights.members
        return np.concatenate(members) if members else np.arange(len(self.cells.subsets))

    def _subsets(self, point: Levels, draws: Levels) -> Iterator[Row]:
        """A subset over all values of ``by`` is the mean over them."""
        shape = (-1, len(self.cells.values), len(self.cells.subsets))
        value, drawn = point.cells.reshape(shape), draws.cells.reshape(shape)
        for place, name in enumerate(self.cells.subsets):
            there = np.isfinite(value[0, :, place])
            told = self.figure.above == self.figure.metric and name in self.weights.sections
            if there.any() and not told:
                now, later = (v[:, there, place].mean(axis=1) for v in (value, drawn))
                yield self._row(name, "subset", now, later, np.asarray([place]))

    def _row(
        self,
        name: str,
        level: str,
        value: Floats,
        drawn: Floats,
        places: Ints,
        by: int | None = None,
    ) -> Row:
        metric = self.figure.metric if level == "subset" else self.figure.above
        items = self.now.items.reshape(len(self.cells.values), -1)[:, places]
        figure = float(value[0])
        low, high = self._bounds(figure, drawn, places)
        return {
            **_head(metric, name, self.one, "cell" if self.figure.row else level),
            "value": figure if np.isfinite(figure) else None,
            "low": low,
            "high": high,
            "n": int(items.sum() if by is None else items[by].sum()),
            "row": self.figure.row,
            "column": self.figure.column,
        }

    def _bounds(self, value: float, drawn: Floats, places: Ints) -> Bounds:
        """Bounds of a share stay within 0 and 1; the formula of ties does not."""
        groups = self.groups.free(places)
        if groups < 2 or not np.isfinite(value):
            return None, None
        subset = np.arange(self.cells.count) % len(self.cells.subsets)
        if self.now.is_share(self.figure.parts, np.isin(subset, places)):
            return share_interval(value, drawn, groups)
        return percentile_interval(drawn, groups)


def flagged_at(accuracy: float, chance: float) -> float:
    """The accuracy that is to ``chance`` what ``accuracy`` is to one half: the same odds ratio."""
    odds = accuracy / (1 - accuracy) * chance / (1 - chance) if 0 < chance < 1 else np.inf
    return odds / (1 + odds) if np.isfinite(odds) else np.inf


def _flag(rows: list[Row], chance: dict[str, float], accuracy: float) -> None:
    """Say on which subsets a baseline is right too often, and its interval above chance: in the row
    of the strongest, and by its name in those beside it."""
    found: dict[str, Row] = {}
    measured = [r for r in rows if r["metric"] == "accuracy" and r["level"] == "subset"]
    for row in measured:
        expected = chance[row["subset"]]
        row["chance"] = expected if np.isfinite(expected) else None
        sure = row["low"] is not None and row["low"] > expected
        if row["kind"] == "baseline" and sure and row["value"] >= flagged_at(accuracy, expected):
            best = found.setdefault(row["subset"], row)
            found[row["subset"]] = max(best, row, key=lambda r: float(r["value"]))
    for row in found.values():
        row["sentence"] = _sentence(row, chance[row["subset"]])
    for row in measured:
        if row["subset"] in found:
            row["baseline"] = found[row["subset"]]["model"]


def _sentence(row: Row, chance: float) -> str:
    learnt = ", learnt from the labels of other prompts," if row["model"] in LEARNT else ""
    return (
        f"On {row['subset']} the {row['model']} baseline{learnt} has accuracy "
        f"{100 * row['value']:.1f} % (95 % CI {interval_text(row['low'], row['high'], 100)}; "
        f"n = {row['n']:,}), where chance is {100 * chance:.1f} %."
    )
