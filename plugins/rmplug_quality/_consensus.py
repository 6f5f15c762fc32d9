"""The most probable label of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rmplug import Features, Pairs, Responses, notice

from ._dawid_skene import fit_dawid_skene
from ._labels import read_labels

if TYPE_CHECKING:
    from .annotators import LabelColumns


def compute_consensus(data: Pairs | Responses, step: LabelColumns) -> Features:
    """Compute the columns of ``Consensus`` for each row."""
    labels = read_labels(data, step)
    fit = fit_dawid_skene(labels.codes, len(labels.names))
    best = fit.posterior.argmax(axis=1)
    number = (labels.codes >= 0).sum(axis=1).astype(np.float64)
    same = (labels.codes == best[:, None]).sum(axis=1)
    named = np.array(labels.names if labels.numeric else range(len(labels.names)), np.float64)
    none = number == 0
    columns = {
        "label": np.where(none, np.nan, named[best]),
        "posterior": np.where(none, np.nan, fit.posterior.max(axis=1)),
        "agreement": np.where(none, np.nan, same / np.maximum(number, 1)),
        "labels": number,
    }
    lacking = pa.array(none[labels.items])
    notice("no label of any annotator", data.column("id").filter(lacking).to_pylist())
    keys = {"id": data.column("id"), "group": data.column("group")}
    return Features({**keys, **{k: v[labels.items] for k, v in columns.items()}}, data.name)
