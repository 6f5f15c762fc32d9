"""Shares of rows that have a fault, of wrong labels, and of measures that favour a side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Metrics, Pairs, Responses
from rmplug.data.subsets import subset_rows
from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.intervals import group_variance
from rmplug.stats.several_tests import adjust_holm

from ._metric_rows import Ints, metrics_of, numbers_of
from ._sentences import Row, sentence_of
from ._wrong_labels import estimate_share
from .finding_columns import COLUMNS, FLAGS
from .personal_data import ALL

if TYPE_CHECKING:
    from .audit import Audit

Floats = npt.NDArray[np.float64]


def audit(data: Pairs | Responses, findings: Sequence[Features], step: Audit) -> Metrics:
    """Compute the metrics of ``Audit``."""
    names = [name for name in ("id", "group", "subset") if name in data.columns]
    table = pa.table({name: data.column(name) for name in names})
    groups = numbers_of(table["group"])
    parts = {"all": np.arange(len(groups)), **subset_rows(table)}
    noun = "pairs" if isinstance(data, Pairs) else "responses"
    made: list[tuple[str, str, Row]] = []
    for one in findings:
        columns = _columns(one, table["id"])
        for subset, part in parts.items():
            found = _rows(columns, groups, part, subset, step)
            made += [(one.name, column, row) for column, row in found]
    for subset in parts:
        _correct_for_all([row for *_, row in made if row["subset"] == subset])
    for name, column, row in made:
        row["finding"] = f"{name}.{'wrong' if row['metric'] == 'wrong-labels' else column}"
        row["sentence"] = sentence_of(row, name, column, noun)
    return metrics_of([row for *_, row in made], COLUMNS)


def _columns(findings: Features, ids: pa.ChunkedArray) -> dict[str, Floats]:
    """Return the columns of numbers that tell something, in the order of the data's rows."""
    table = findings.table
    if not table["id"].equals(ids):
        places = pc.index_in(ids, value_set=table["id"])
        if places.null_count:
            raise DataError(
                f"{findings.name} has no row for {places.null_count} of {len(ids)} rows; give "
                "findings of the same data"
            )
        table = table.take(places)
    names = [name for name in findings.values if not pa.types.is_fixed_size_list(table[name].type)]
    known = [name for name in names if _is_known(name)]
    # what supports a label is read whole, and is no fault where it is above 0
    return {name: _numbers(table[name]) for name in known or names}


def _is_known(name: str) -> bool:
    side, _, kind = name.partition(".")
    return name in (*FLAGS, "support") or side == "difference" or kind in ALL


def _numbers(column: pa.ChunkedArray) -> Floats:
    kind = pa.float32() if pa.types.is_boolean(column.type) else column.type
    return np.asarray(column.cast(kind).to_numpy(), dtype=np.float64)


def _rows(
    columns: dict[str, Floats], groups: Ints, part: Ints, subset: str, step: Audit
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of one subset, each with its column."""
    own = groups[part]
    for name, values in columns.items():
        inside = values[part]
        if name == "support":
            if subset == "all" or len(part) >= step.least:
                found = estimate_share(inside, own)
                yield name, _row("wrong-labels", subset, found.share, found.bounds, len(part))
        elif name.startswith("difference."):
            yield name, _imbalance(inside, own, subset)
        else:
            fault = (inside > 0).astype(np.float64)
            share = mean(fault, "share")
            row = _row("found", subset, share.value, share.interval(own), len(part))
            yield name, {**row, "count": int(fault.sum())}


def _imbalance(differences: Floats, groups: Ints, subset: str) -> Row:
    """Return the share of pairs in which the chosen response has more, of those that differ."""
    apart = np.isfinite(differences) & (differences != 0)
    more: Estimate = mean((differences[apart] > 0).astype(np.float64), "share")
    own = groups[apart]
    row = _row("more-in-chosen", subset, more.value, more.interval(own), int(apart.sum()))
    p = float("nan")
    if len(np.unique(own)) > 1:
        # the variance that chance has: leads of 0.5 above and below, summed by prompt
        spread = group_variance((differences[apart] > 0) - 0.5, own) ** 0.5
        # less half of one pair: shares of few pairs go in steps
        lead = max(0.0, abs(more.value - 0.5) - 0.5 / len(own))
        z = lead / spread if spread > 0 else float("nan")
        p = 2 * NormalDist().cdf(-z)
    return {**row, "p": p if np.isfinite(p) else None}


def _row(metric: str, subset: str, value: float, bounds: Any, n: int) -> Row:
    low, high = bounds
    more = dict.fromkeys(("count", "p", "p_holm"))
    finite = value if np.isfinite(value) else None
    return {"metric": metric, "subset": subset, "value": finite, "low": low, "high": high,
            "n": n, **more}  # fmt: skip


def _correct_for_all(rows: Sequence[Row]) -> None:
    """Correct the p-values of the rows of one subset for their number, whatever step they are
    of."""
    tested = [row for row in rows if row["p"] is not None]
    corrected = adjust_holm([row["p"] for row in tested])
    for row, value in zip(tested, corrected.tolist(), strict=True):
        row["p_holm"] = value
