"""Row weights and target margins: the columns ``weight`` and ``margin`` of training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rmplug.errors import DataError, some

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def weights_and_margins(table: pa.Table) -> tuple[Array, Array]:
    """Read row weights and target margins, two float64 arrays of shape (rows,).

    ``weight`` is scaled to a mean of 1; ``margin`` is what the reward of chosen should exceed that
    of rejected by in the Bradley-Terry loss. A missing weight is 1, a missing margin 0. Raises
    DataError, with the ids, for weights below 0 and for numbers that are not finite."""
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
