"""The conversion of features of pairs into rows of responses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features
from rmplug.errors import some

from ._response_names import SIDES, own_names


def per_response(features: Features) -> Iterator[pa.Table]:
    """Yield batches of rows, those of a pair one after the other."""
    names = own_names(features.columns)
    if len(names) == len(features.columns):
        raise DataError(
            f"{features.name or 'features'} has no columns chosen and rejected, or chosen.x and "
            f"rejected.x, to tell its responses apart; it has {some(features.values, 12)}"
        )
    yield _sides(pa.Table.from_batches([], features.rows.schema), names)
    for batch in features.batches():
        yield _sides(pa.Table.from_batches([batch]), names)


def _sides(pairs: pa.Table, names: dict[str, tuple[str, str]]) -> pa.Table:
    both = []
    for index, side in enumerate(SIDES):
        columns = {own: pairs[of[index]] for own, of in names.items()}
        columns["id"] = pc.binary_join_element_wise(pairs["id"], side, "/")
        both.append(pa.table(columns))
    order = np.arange(2 * pairs.num_rows).reshape(2, -1).T.ravel()
    return pa.concat_tables(both, promote_options="permissive").take(pa.array(order, pa.int64()))
