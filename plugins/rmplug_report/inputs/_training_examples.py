"""Examples of trainings, as their models read them; not those of rows with personal data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Checkpoint, DataError, Features
from rmplug.models.training_examples import ReadText, TrainingExample, read_examples

from ._hidden import NOT_SHOWN, counts_of_hiding

NOT_LOOKED_AT = "(not shown: this row is not among those that were searched for personal data)"


def examples_of(checkpoint: Checkpoint) -> Sequence[TrainingExample]:
    """Return the examples beside a checkpoint; none where the file cannot be read."""
    try:
        return read_examples(checkpoint.directory)
    except DataError:
        return ()


class Checked:
    """The rows in which personal data or secrets were looked for: their ``ids``, and the mask
    ``found`` of those that have some. Without any, every text may be shown."""

    def __init__(self, ids: Sequence[pa.Array], found: Sequence[np.ndarray]) -> None:
        self.ids = pa.chunked_array(ids, pa.string())
        self.found = np.concatenate([np.zeros(0, bool), *found])

    def objection(self, text: ReadText) -> str:
        """Return why a text may not be shown, or nothing where its row was looked at and is clean.
        A row may have been looked at as the pair that it is a side of (``<id>/…``), or by its
        sides."""
        if not len(self.ids):
            return ""
        wanted = pa.array([text.id, text.id.rpartition("/")[0]], pa.string())
        itself = pc.is_in(self.ids, value_set=wanted)
        sides = pc.starts_with(self.ids, pattern=f"{text.id}/")
        related = np.asarray(pc.or_(itself, sides))
        if not related.any():
            return NOT_LOOKED_AT
        return NOT_SHOWN if self.found[related].any() else ""


def checked_rows(features: Sequence[Features]) -> Checked:
    """Return the rows in which features count personal data or secrets."""
    counted = [(item.table["id"], counts) for item in features for counts in counts_of_hiding(item)]
    ids = [chunk for column, _ in counted for chunk in column.chunks]
    return Checked(ids, [counts > 0 for _, counts in counted])
