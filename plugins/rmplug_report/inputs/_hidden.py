"""The rows whose texts no page may show: personal data or secrets were found in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from rmplug import Features
from rmplug.arrays import Array

HIDING = ("personal", "secrets")
"""Columns of features that count what must not be shown: where one is above 0, no text is."""
NOT_SHOWN = "(not shown: personal data or secrets were found in this row)"
SIDES = ("/chosen", "/rejected")
"""Endings of the ids of responses that were made from pairs."""


def hidden_ids(features: Sequence[Features]) -> frozenset[str]:
    """Return the ids of the rows in which features count personal data or secrets; of a response
    that was made from a pair, the id of the pair, whose other side has the same prompt."""
    ids: set[str] = set()
    for item in features:
        for counts in counts_of_hiding(item):
            ids.update(item.table["id"].filter(pa.array(counts > 0)).to_pylist())
    return frozenset(map(pair_of, ids))


def counts_of_hiding(features: Features) -> Iterator[Array]:
    """Yield each column that counts what must not be shown."""
    for name in HIDING:
        if name in features.values and not pa.types.is_fixed_size_list(features.table[name].type):
            yield np.asarray(features.table[name].to_numpy(), dtype=np.float64)


def is_hidden(id: str, hidden: frozenset[str]) -> bool:
    """Check whether the texts of a row, or of the pair that it was made from, are hidden."""
    return pair_of(id) in hidden


def pair_of(id: str) -> str:
    """Return the id of the pair that a response was made from; of any other row, its own."""
    return id.rpartition("/")[0] if id.endswith(SIDES) else id
