"""The result for the labels that each strategy of choosing has bought."""

from __future__ import annotations

from rmplug import Metrics, Selection

from .result_curve import ResultCurve


class LabelCurve(ResultCurve):
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

    def evaluate(self, results: Metrics, chosen: Selection) -> Metrics:
        from ._label_curve import make_label_curve

        return make_label_curve(results, chosen, self.wanted)
