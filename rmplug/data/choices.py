"""The choice that each response belongs to: the responses to one prompt, or of one published
case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .messages import prompt_groups

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def choice_of_each(responses: pa.Table) -> Ints:
    """Return the choice that each response belongs to, numbered from 0 in order of first
    appearance.

    Responses with the same ``case`` are one choice, whatever their prompts; without a case, those
    with the same ``group`` and ``prompt``. A group (a topic, or a prompt that several cases share)
    only says what is resampled together, and is never itself a choice.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.chunked_array([], pa.string())
    cases = responses["case"].cast(pa.string()) if "case" in responses.column_names else None
    if cases is None or cases.null_count:
        groups = pc.fill_null(responses["group"].cast(pa.string()), "")
        keys = pc.binary_join_element_wise("p", groups, prompt_groups(responses["prompt"]), "\n")
    if cases is not None:
        named = pc.binary_join_element_wise("c", cases, "\n")
        keys = pc.coalesce(named, keys) if cases.null_count else named
    numbered = pc.index_in(keys, value_set=pc.unique(keys))
    return np.asarray(numbered.to_numpy()).astype(np.int64)
