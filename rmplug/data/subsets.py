"""The subsets of data: the rows of each value of the column ``subset``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmplug.arrays import Array

if TYPE_CHECKING:
    import pyarrow as pa


def subset_rows(table: pa.Table) -> dict[str, Array]:
    """Return the indices of the rows of each named subset, int64, by its name, in the order in
    which the subsets first occur; none without a column ``subset``. Rows without a subset are in
    none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if "subset" not in table.column_names:
        return {}
    # Arrow tells the names apart: NumPy compares texts without the NULs at their end
    coded = pc.cast(table["subset"].combine_chunks(), pa.string()).dictionary_encode()
    codes = np.asarray(pc.fill_null(coded.indices, -1))
    names = enumerate(coded.dictionary.to_pylist())
    return {name: np.flatnonzero(codes == code) for code, name in names if name}
