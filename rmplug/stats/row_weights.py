"""What rows say about how they are to be learnt from: their weights, and the leads they demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rmplug.errors import DataError, some

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def weights_and_margins(table: pa.Table) -> tuple[Array, Array]:
    """Of each row of pairs or responses, float64: the column ``weight``, scaled to a mean of 1, and
    ``margin``, the lead that chosen should have in the Bradley-Terry loss. A missing weight is 1, a
    missing margin 0. Raises DataError for what cannot be learnt from, with the ids."""
    import numpy as np
    import pyarrow as pa

    weights, margins = _column(table, "weight", 1.0), _column(table, "margin", 0.0)
    bad = ~np.isfinite(weights) | (weights < 0) | ~np.isfinite(margins)
    if bad.any():
        ids = table["id"].filter(pa.array(bad)).to_pylist()
        raise DataError(
            f"{len(ids)} rows have a weight below 0 or a weight or margin that is not finite "
            f"({some(ids)}); mend them or drop the column"
        )
    if len(weights) and weights.sum() == 0:
        raise DataError("the weights of all rows are 0; give some rows weight")
    return weights / weights.mean() if len(weights) else weights, margins


def _column(table: pa.Table, name: str, default: float) -> Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in table.column_names:
        return np.full(table.num_rows, default)
    return np.array(pc.fill_null(table[name].cast(pa.float64()), default).to_numpy())
