"""Curves of results over what was labelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rmplug import Evaluator, Known

if TYPE_CHECKING:
    from rmplug_hybrid.performance._candidate_table import WantedResult


class ResultCurve(Evaluator):
    """The choice of the result that a curve shows."""

    requires = ("scipy",)
    extra = "tabular"

    metric: str = "accuracy"
    """The metric of ``results`` that is shown."""
    subset: str = "all"
    """Its subset."""
    result_of: str | None = None
    """The model that was measured, where results have several."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        table = ("metric", "subset", "value", "low", "high", "n", "model", "kind")
        curve = ("at", "axis", "row", "column", "other", "p", "p_holm", "sentence")
        return Known(columns=(*table, *curve))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs.get("results", ()):
            lacking = one.lacks_metric(self.metric)
            yield from [("metric", lacking)] if lacking else []

    @property
    def wanted(self) -> WantedResult:
        """The result among those of a model."""
        from rmplug_hybrid.performance._candidate_table import WantedResult

        return WantedResult(self.metric, self.subset, self.result_of, None, ())
