"""Look-up of metrics by model, metric and subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rmplug.records import SeenRows

from ._inputs import Row
from ._loop_rows import APART
from ._row_forms import is_plain


class MetricLookup:
    """Plain rows of metrics with a model, looked up by model, metric and subset.

    Cells, points of curves, comparisons and levels of a benchmark are shown elsewhere. Of a loop,
    the models of items are here where there is no other model: items may be measured on different
    data, and so are their baselines where these differ.
    """

    def __init__(self, rows: Sequence[Row], seen: Mapping[str, SeenRows] | None = None) -> None:
        plain = [row for row in rows if row.get("model") and is_plain(row)]
        alone = [row for row in plain if APART not in row]
        self.rows = (
            alone
            if any(map(_is_accuracy_of_model, alone))
            else [row for row in plain if APART not in row or row.get("kind") != "baseline"]
        )
        self._rows_by_key = {self._key(row): row for row in reversed(self.rows)}
        accuracy = [row for row in self.rows if row["metric"] == "accuracy"]
        self.models = _distinct(row["model"] for row in accuracy if row.get("kind") != "baseline")
        self.baselines = _distinct(
            row["model"] for row in accuracy if row.get("kind") == "baseline"
        )
        sizes: dict[str, int] = {}
        for row in accuracy:
            if row["subset"] != "all":
                sizes[row["subset"]] = max(sizes.get(row["subset"], 0), row["n"] or 0)
        self.subsets = sorted(sizes, key=lambda subset: (-sizes[subset], subset))
        self.sizes = sizes
        self.in_sample = {
            model: rows
            for model in self.models
            for rows in (seen_of(model, seen or {}),)
            if rows is not None and rows.seen
        }
        """Models that were trained on rows they are measured on, with the counts of those rows."""

    @staticmethod
    def _key(row: Row) -> tuple[str, str, str]:
        return (row["model"], row["metric"], row["subset"])

    def row(self, model: str, metric: str, subset: str = "all") -> Row | None:
        """Return the row, if present and with a value."""
        row = self._rows_by_key.get((model, metric, subset))
        return None if row is None or row["value"] is None else row

    def value(self, model: str, metric: str, subset: str = "all") -> Any:
        row = self.row(model, metric, subset)
        return None if row is None else row["value"]

    def accuracies(self, subset: str) -> list[Row]:
        """Return the accuracy of every model and rule, models first."""
        rows = [self.row(model, "accuracy", subset) for model in (*self.models, *self.baselines)]
        return [row for row in rows if row is not None]

    def ranked(self) -> list[str]:
        """Return models from the most to the least accurate; those that are in-sample come last."""
        measured = [m for m in self.models if self.value(m, "accuracy") is not None]
        return sorted(measured, key=lambda m: (m in self.in_sample, -self.value(m, "accuracy")))

    def reliability(self, model: str) -> list[dict[str, Any]]:
        """Return bins of the calibration curve: accuracy with its interval, and mean confidence."""
        bins = [r for r in self.rows if r["model"] == model and r["metric"] == "reliability"]
        curve = []
        for row in bins:
            confidence = self.value(model, "confidence", row["subset"])
            if row["value"] is not None and confidence is not None:
                curve.append({**row, "confidence": confidence})
        return sorted(curve, key=lambda point: point["subset"])


def _is_accuracy_of_model(row: Row) -> bool:
    return bool(row["metric"] == "accuracy" and row.get("kind") != "baseline")


def _distinct(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def seen_of(model: str, seen: Mapping[str, SeenRows]) -> SeenRows | None:
    """Return the rows that a model has seen; one of several outputs is named after its features,
    one of a loop with its item."""
    names = [name for name in seen if model == name or model.startswith((f"{name}.", f"{name} ("))]
    return seen[max(names, key=len)] if names else None
