"""Examples of a training as the model reads them."""

from __future__ import annotations

import pyarrow as pa

from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.models.trainable import TokenRow, TrainableModel
from rmplug.models.training_examples import ReadText


def text_of(
    model: TrainableModel, table: pa.Table, row: int, side: str, read: TokenRow
) -> ReadText:
    """Return the text of the tokens ``read`` from one side of a row."""
    cut = model.too_long(side_of(one_batch(table.slice(row, 1)), side))
    return text_of_ids(model, table["id"][row].as_py(), side, read.ids.tolist(), bool(cut[0]))


def text_of_ids(
    model: TrainableModel, name: str, side: str, ids: list[int], cut: bool = False
) -> ReadText:
    """Return the text that token ids of the row ``name`` stand for, special tokens included."""
    text = model.tokenizer.decode(
        ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    # half of a surrogate pair cannot be written down
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return ReadText.of(name, side, whole, len(ids), cut)
