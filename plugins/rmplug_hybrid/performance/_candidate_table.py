"""Candidates with the results of their proxies: the rows that a performance model learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Selection, Tabular, notice
from rmplug.errors import did_you_mean, some

COUNT = "count."
SIZES = ("size", "budget")
ITEMS = ("item", "outer_item")
FEWEST = 10


@dataclass(frozen=True)
class WantedResult:
    """The result to predict, and the columns that predict it."""

    metric: str
    subset: str
    model: str | None
    column: str | None
    include: tuple[str, ...]
    needs_size: bool = True
    lower_is_better: bool = False

    @property
    def result(self) -> str:
        """The predicted result, in words."""
        return ("minus " if self.lower_is_better else "") + (self.column or self.metric)


@dataclass(frozen=True)
class Trials:
    """The counts of features (rows, features) and human labels (rows) of candidates, and the
    results of their proxies."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    counts: np.ndarray
    sizes: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Trials:
        ids = tuple(np.array(self.ids, dtype=object)[rows])
        return Trials(ids, self.names, self.counts[rows], self.sizes[rows], self.target[rows])


def read_trials(
    candidates: Features | Selection, results: Metrics | Features | None, wanted: WantedResult
) -> Trials:
    """Read the candidates that have counts and a result; others are dropped and named."""
    table = candidates.table
    columns = find_count_columns(table.column_names, wanted.include)
    if not columns:
        raise DataError(
            f"{candidates.name or 'candidates'} has no counts of features: no column matches "
            f"{', '.join(wanted.include)}; it has {some(table.column_names, 12)}"
        )
    ids = [str(name) for name in table["id"].to_pylist()]
    if len(set(ids)) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise DataError(f"candidates must have different ids; more than once: {some(twice)}")
    trials = Trials(
        tuple(ids),
        tuple(name.removeprefix(COUNT) for name in columns),
        np.column_stack([read_column(table, name) for name in columns]),
        _read_sizes(table, wanted.needs_size),
        _read_targets(candidates, results, wanted, ids),
    )
    return _drop_incomplete(trials)


def find_count_columns(names: Sequence[str], include: Sequence[str]) -> list[str]:
    """Find the columns that count features: those that match the first pattern that any matches."""
    for pattern in include:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if matches:
            return matches
    return []


def find_size_column(names: Sequence[str]) -> str:
    """Find the column with the number of human labels."""
    for name in SIZES:
        if name in names:
            return name
    raise DataError(
        f"candidates need a column size (or budget), the number of human labels; "
        f"there are {some(names, 12)}"
    )


def _read_sizes(table: pa.Table, needed: bool) -> np.ndarray:
    if not needed and not set(SIZES) & set(table.column_names):
        notice("no column size: the count-only baseline is the mean", ["size"], "kept", "columns")
        return np.zeros(table.num_rows)
    return read_column(table, find_size_column(table.column_names))


def read_column(table: pa.Table, name: str) -> np.ndarray:
    try:
        column = pc.cast(table[name], pa.float64())
    except pa.ArrowInvalid:
        raise DataError(f"column {name!r} is {table[name].type}, not numbers") from None
    return np.array(column.to_numpy(), dtype=np.float64)


def _drop_incomplete(trials: Trials) -> Trials:
    holes = ~np.isfinite(np.column_stack([trials.counts, trials.sizes]).sum(axis=1))
    unknown = ~np.isfinite(trials.target) & ~holes
    for what, rows in (("no count", holes), ("no result", unknown)):
        named = [name for name, missing in zip(trials.ids, rows, strict=True) if missing]
        notice(f"candidates with {what}", named, "dropped", "candidates")
    kept = trials.take(np.flatnonzero(~holes & ~unknown))
    if len(kept) < FEWEST:
        raise DataError(
            f"performance-model needs at least {FEWEST} candidates with counts and a result, "
            f"there are {len(kept)} of {len(trials)}; train more proxies"
        )
    return kept


def _read_targets(
    candidates: Features | Selection,
    results: Metrics | Features | None,
    wanted: WantedResult,
    ids: Sequence[str],
) -> np.ndarray:
    if isinstance(results, Metrics):
        result_of = average_results(results, wanted, ids)
    else:
        result_of = _read_result_column(
            results if results is not None else candidates, wanted.column
        )
    sign = -1 if wanted.lower_is_better else 1
    return sign * np.array([result_of.get(name, np.nan) for name in ids])


def _read_result_column(source: Tabular, column: str | None) -> dict[str, float]:
    name = source.name or "candidates"
    if column is None:
        raise DataError(f"say which column of {name} is the result: params: {{column: …}}")
    if column not in source.columns:
        hint = did_you_mean(column, source.columns)
        raise DataError(f"{name} has no column {column!r}{hint}; it has {some(source.columns, 12)}")
    values = read_column(source.table, column)
    return dict(zip(map(str, source.table["id"].to_pylist()), values.tolist(), strict=True))


def average_results(results: Metrics, wanted: WantedResult, ids: Sequence[str]) -> dict[str, float]:
    """Average the results of each item, over seeds where there are several."""
    table = select_model(results, wanted)
    keys = table[find_item_column(table, ids, results.name)].to_pylist()
    sums: dict[str, list[float]] = {}
    for key, value in zip(keys, table["value"].to_pylist(), strict=True):
        if value is not None and np.isfinite(value):
            sums.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in sums.items()}


def select_model(results: Metrics, wanted: WantedResult) -> pa.Table:
    """Select the rows of one metric and subset of one model that is not a baseline."""
    table, name = results.table, results.name or "results"
    for column, value in (("metric", wanted.metric), ("subset", wanted.subset)):
        available = table[column].unique().to_pylist()
        table = table.filter(pc.equal(table[column], value))
        if not table.num_rows:
            hint = did_you_mean(value, available)
            raise DataError(f"{name} has no {column} {value!r}{hint}; it has {some(available, 12)}")
    if "kind" in table.column_names:
        table = table.filter(pc.not_equal(pc.fill_null(table["kind"], "model"), "baseline"))
    if "model" not in table.column_names:
        return table
    available = [model for model in table["model"].unique().to_pylist() if model is not None]
    model = wanted.model if wanted.model is not None else (available or [None])[0]
    if len(available) > 1 and wanted.model is None:
        which = f"params: {{result_of: {available[0]}}}"
        raise DataError(f"{name} measures {some(available)}; say which: {which}")
    if model is not None and model not in available:
        hint = did_you_mean(model, available)
        raise DataError(f"{name} has no model {model!r}{hint}; it has {some(available, 12)}")
    return table if model is None else table.filter(pc.equal(table["model"], model))


def find_item_column(table: pa.Table, ids: Sequence[str], name: str = "") -> str:
    """Find the column of a loop's results that names these items: ``item`` or ``outer_item``."""
    there = [column for column in ITEMS if column in table.column_names]
    for column in there:
        if set(table[column].unique().to_pylist()) & set(ids):
            return column
    seen = table[there[0]].unique().to_pylist() if there else table.column_names
    raise DataError(
        f"{name or 'results'} does not name its items as they are called here "
        f"({some(ids)}): it has {some(seen)}; collect it from a for-each over them"
    )
