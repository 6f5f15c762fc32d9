"""Several labels of the same rows: the evaluator ``annotators`` and the feature computer
``consensus``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from rmplug import Evaluator, FeatureComputer, Features, Known, Metrics, Names, Pairs, Responses


class LabelColumns(BaseModel):
    """The columns that hold the labels."""

    labels: Names
    """The columns with labels: one for each annotator (`meta.annotation_1`, `meta.annotation_2`), or
    one that holds a list of labels in each row (`meta.annotators`: `[2, 2, 0]`), whose places are the
    annotators. With `annotator`, the column with the label of a row."""  # noqa: E501
    entry: str | None = None
    """The entry to take, where the list holds mappings: `coherence` of
    `[{"coherence": 4, "fluency": 5}, …]`."""
    annotator: str | None = None
    """The column with the annotator's name, where each label has a row of its own."""
    item: str | None = None
    """The column that says which rows are about the same thing, with `annotator`; by default rows
    with the same texts, the two responses in any order."""

    def list_mistakes(self, data: Known) -> Iterable[tuple[str, str]]:
        """List columns that the data are known not to have, and settings that exclude others."""
        for name in ("annotator", "item"):
            column = getattr(self, name)
            if column is not None and (lacking := data.lacks(column)):
                yield name, lacking
        for column in self.labels:
            if lacking := data.lacks(column):
                yield "labels", lacking
        if self.annotator is None and self.item is not None:
            yield "item", "item goes with annotator, where each label has a row of its own"
        if self.annotator is not None and len(self.labels) > 1:
            yield "labels", "with annotator, name the one column of labels"


class Annotators(LabelColumns, Evaluator):
    """Measure how far annotators agree, and how reliable each of them is.

    Gives `metric, subset, value, low, high, n, model, row, column`; `n` counts the rows with labels
    behind the value, and intervals are of a bootstrap over groups (prompts).

    - ``krippendorff-alpha-nominal``, and where labels are numbers ``-ordinal`` and ``-interval``:
      1 minus the observed disagreement over that expected by chance (Krippendorff, 2011, with
      missing labels); over rows with two labels or more.
    - ``fleiss-kappa`` (Fleiss, 1971; rows may have different numbers of labels), ``raw-agreement``:
      share of pairs of labels of a row that are the same; ``unanimous``: share of rows whose labels
      are all the same.
    - ``cohen-kappa`` (Cohen, 1960) and ``same-label`` of each two annotators with at least `least`
      rows in common, a cell of a matrix (`row`, `column`); of more than 200 pairs, those with most
      rows in common.
    - ``reliability-of-annotator`` of each (`model`): the mean probability that its labels are
      right, by Dawid and Skene (1979, Applied Statistics 28): an EM algorithm finds the class of
      each row and the confusion of each annotator that make the labels most likely. The interval is
      of the mean over rows; the fitted model is taken as it is. Needs three annotators to tell
      who is wrong.
    - ``confusion <annotator>``: of the rows of each class (`row`), the share that the annotator
      gives each label (`column`); for ten annotators at most.

    Per subset, too, where data have subsets: alpha and kappa.
    """

    kind = "annotators"

    level: Literal["nominal", "ordinal", "interval"] | None = None
    """The level of measurement to report alpha for; by default all that the labels allow."""
    least: int = Field(default=20, ge=2)
    """Rows that two annotators must share for a kappa of the two."""
    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples of prompts behind the intervals."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        names = ("metric", "subset", "value", "low", "high", "n", "model", "row", "column")
        return Known(columns=names)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        return self.list_mistakes(inputs["data"][0])

    def evaluate(self, data: Pairs | Responses, *, seed: int) -> Metrics:
        from ._annotators import measure

        return measure(data, self, seed)


class Consensus(LabelColumns, FeatureComputer):
    """Find the label that several annotators' labels speak for, and how surely.

    Gives for each row `label` (the most probable one by Dawid and Skene's model, as in `annotators`:
    the number itself where labels are numbers, else its place among all labels in alphabetical order,
    from 0), `posterior` (its probability, 0 to 1), `agreement` (the share of the row's labels that
    are this one) and `labels` (how many labels the row has). NaN for a row without labels; they are
    counted. Where each label has a row of its own, all rows of an item get the same.
    """  # noqa: E501

    kind = "consensus"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=["label", "posterior", "agreement", "labels"])

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        return self.list_mistakes(inputs["data"][0])

    def compute(self, data: Pairs | Responses) -> Features:
        from ._consensus import compute_consensus

        return compute_consensus(data, self)
