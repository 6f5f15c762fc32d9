"""The evaluator ``audit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Pairs, Responses

from .finding_columns import COLUMNS


class Audit(Evaluator):
    """Count what steps such as `duplicates`, `leakage`, `label-noise` and `personal-data` found.

    Takes the data and features of them, or single columns of these (`copies.conflicts`). Gives
    `metric, subset, value, low, high, n, count, finding, p, p_holm, sentence` for the whole and for
    each subset; `finding` is `<step>.<column>`. Intervals count prompts, not rows.

    - ``found``: the share of rows in which a column is above 0, and their number (`count`): of
      `copy`, `conflicts`, `identical`, `near.copy`, `leaked`, `disagrees`, `personal`, `secrets`,
      and the counts of `personal-data`; of other steps, of every column of numbers. Wilson's
      interval.
    - ``wrong-labels``: the share of labels that are wrong, estimated from `support` of
      `label-noise` (see there); its interval has the shares that a likelihood-ratio test does not
      rule out, widened by how much more prompts vary than their rows; not for subsets with fewer
      than `least` pairs.
    - ``more-in-chosen``: of the pairs whose responses differ in a measure (columns `difference.x`,
      as `lexical` gives them), the share in which the chosen response has more: 0.5 where length or
      format say nothing of the label. `p` is for that (two-sided, normal with a correction for
      continuity), `p_holm` corrected for the number of measures by Holm's rule, among those of one
      subset, of all steps together.
    """

    kind = "audit"

    least: int = Field(default=100, ge=2)
    """Pairs from which the share of wrong labels of a subset is estimated."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=COLUMNS, metrics=("found", "wrong-labels", "more-in-chosen"))

    def evaluate(self, data: Pairs | Responses, findings: Sequence[Features]) -> Metrics:
        from ._audit import audit

        return audit(data, findings, self)
