"""Predictions for a batch of joined features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from rmplug import Predictor


def predict_batch(predictor: Predictor, batch: pa.RecordBatch) -> Mapping[str, np.ndarray]:
    return predictor.predict(pa.Table.from_batches([batch]))
