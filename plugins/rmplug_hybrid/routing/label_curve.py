"""The result for the labels that each strategy of choosing has bought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rmplug import Evaluator, Known, Metrics, Selection


class LabelCurve(Evaluator):
    """Show how good a reward model becomes for its labels, by the strategy that chose them.

    ``results`` are metrics collected by a `repeat` (a row of ``metric`` for each round) inside a
    `for-each` over strategies, and one over seeds around or inside it; ``chosen`` is what
    `uncertain` or `diverse` chose in the same rounds, collected with them, from which the labels
    that each round began with are counted. The strategies are the items of the loop that has one
    called ``random``, with which the others are compared; an item such as ``{name: random, by:
    random}`` goes by its ``name``.

    Rows of ``metric``: the mean over seeds with a 95 % t interval (none with one seed), ``n``
    seeds, ``at`` the number of labels, ``model`` the strategy. Intervals cover how much a strategy
    that begins anew may differ; other test pairs only if the seeds have different ones.
    ``difference`` rows compare each strategy with ``random`` at the same number of labels, paired
    by seed: a t interval, ``p`` (t-test), ``p_holm`` (Holm's correction). First ``on average``, the
    mean over all numbers of labels but the fewest, at which all strategies have the same rows,
    corrected for the strategies, with a sentence; then at each number, corrected for all of them.
    ``subset`` names the point.
    """

    kind = "label-curve"
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
        lacking = inputs["results"][0].lacks_metric(self.metric)
        return [("metric", lacking)] if lacking else []

    def evaluate(self, results: Metrics, chosen: Selection) -> Metrics:
        from rmplug_hybrid.performance._candidate_table import WantedResult

        from ._label_curve import make_label_curve

        wanted = WantedResult(self.metric, self.subset, self.result_of, None, ())
        return make_label_curve(results, chosen, wanted)
