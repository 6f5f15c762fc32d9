"""The result for the human labels that were bought."""

from __future__ import annotations

from rmplug import Metrics, Selection

from .result_curve import ResultCurve


class BudgetCurve(ResultCurve):
    """Show how good the reward model becomes for the human labels that were bought.

    For each of ``routes``, without anything else: ``predicted-<result>``, what the performance
    model predicts, by models that did not choose the route, with the middle 95 % over halves of the
    candidates (``n``: its labels), and a sentence that compares it with random labels and with what
    the model says that chose it; ``bought``, its labels of ``n`` pairs, and ``cost``, what they
    cost together, where that is known; ``share-of-labels``, where `route` knew both sources of
    labels: a matrix of the share of each outcome (``column``) among a route's labels (``row``;
    ``n`` labels).

    With ``results``, metrics collected by a `for-each` over ``routes`` (the steps inside swap the
    labels, train, and evaluate), in an outer `for-each` over seeds or with one inside, also what
    was measured: rows of ``metric``, the mean over seeds with a 95 % t interval (none with one
    seed), ``n`` seeds. With one seed, the interval is over several random draws. Intervals
    cover how much the same routes, trained again, may differ; not other test pairs or other
    candidates. ``difference`` rows compare each route with ``other``, random
    routes of the same size, paired by seed: a t interval over seeds, ``p`` (t-test) and ``p_holm``
    (Holm's correction for all of them), and a sentence.

    Points of curves have ``at``, the share of human labels that was bought, and ``model``, the
    strategy; ``all AI`` and ``all human`` are the ends of every curve. Several random draws are
    averaged, measured ones within a seed. ``subset`` names the route. Columns: ``metric, subset,
    value, low, high, n, model, kind, at, axis, row, column, other, p, p_holm, sentence``.
    """

    kind = "budget-curve"

    def evaluate(self, routes: Selection, results: Metrics | None = None) -> Metrics:
        from ._budget_curve import make_budget_curve

        return make_budget_curve(routes, results, self.wanted)
