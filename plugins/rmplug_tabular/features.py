"""The feature computer: a fit applied to other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rmplug import (
    FeatureComputer,
    Features,
    Fit,
    Known,
    join,
)
from rmplug.known import joined_twice


class Predict(FeatureComputer):
    """Apply a fit to features of any data: ``prediction`` for each row, and more for classes.

    Give the features of the steps that it was fitted on, in the same order; the steps may have
    other names (``words-of-test`` for ``words``), their columns may not. Gives what the fit
    predicts (see its estimator); NaN for rows that it cannot predict.
    """

    kind = "predict"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=inputs["fit"][0].outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        twice = joined_twice(inputs["features"])
        return [("features", twice)] if twice else []

    def compute(self, fit: Fit, features: Sequence[Features]) -> Features:
        from ._predictions import predict_batch

        return join(features).map(predict_batch, open=fit.open)
