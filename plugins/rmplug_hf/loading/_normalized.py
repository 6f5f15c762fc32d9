"""The scores of a model on the scale of a reference set."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rmplug import DataError, Fit, RewardModel
from rmplug.arrays import Array

from ._scales import open_scales
from .members import mismatch


def load_normalized(model: RewardModel, reference: Fit) -> NormalizedModel:
    """Open the model, and the scale of each of its outputs."""
    scales = open_scales(reference.directory).scales
    opened = model.open()
    fault = mismatch(scales, opened.outputs)
    if fault is not None:
        raise DataError(f"{reference.name}: {fault}")
    means, deviations = zip(
        *((scales[name].mean, scales[name].deviation) for name in opened.outputs), strict=True
    )
    return NormalizedModel(opened, np.array(means), np.array(deviations))


class NormalizedModel(RewardModel):
    """A model with scores of shape (rows, outputs) in units of a reference set."""

    def __init__(self, model: RewardModel, means: Array, deviations: Array) -> None:
        self.model, self.means, self.deviations = model, means, deviations
        self.outputs = tuple(model.outputs)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs)."""
        scores = np.asarray(self.model.score(responses), dtype=np.float64)
        matrix = scores.reshape(responses.num_rows, len(self.outputs))
        return np.asarray((matrix - self.means) / self.deviations)
