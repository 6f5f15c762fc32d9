"""Implicit rewards: how much more probable a training has made a response."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.models.trainable import TrainablePolicy

from ._policy import policy_of


class Implicit(RewardModel):
    """The difference of a policy's log-probabilities from those of its reference, times beta."""

    def __init__(self, policy: RewardModel, reference: RewardModel, beta: float) -> None:
        self.given, self.beta = (policy, reference), beta

    @cached_property
    def both(self) -> tuple[TrainablePolicy, TrainablePolicy]:
        """The two models, opened at first use."""
        policy, reference = (policy_of(model.open()) for model in self.given)
        return policy, reference

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return rewards of shape (rows,)."""
        policy, reference = self.both
        self._check_tokens(responses)
        change = policy.log_prob_sums(responses) - reference.log_prob_sums(responses)
        return np.asarray(self.beta * change, dtype=np.float64)

    def _check_tokens(self, responses: pa.RecordBatch) -> None:
        rows = zip(*(m.response_rows(responses) for m in self.both), strict=True)
        ids = responses.column("id").to_pylist()
        for name, (one, other) in zip(ids, rows, strict=True):
            same = (one.start, one.end) == (other.start, other.end)
            if not same or not np.array_equal(one.ids, other.ids):
                raise DataError(
                    f"policy and reference read {name} as different tokens; the reference must be "
                    "the policy before the training, loaded with the same template"
                )
