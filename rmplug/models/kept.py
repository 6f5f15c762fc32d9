"""Values that a model gave for texts, kept in the store across steps and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rmplug._store.fingerprint import source_of_package
from rmplug._store.kept import MOST_NUMBERS, Ask, Compute, Keep, keeping, keeping_nothing
from rmplug.arrays import Array

__all__ = ["MOST_NUMBERS", "Keep", "keeping_nothing", "kept_answers", "kept_rows", "package_source"]


def package_source(module: str) -> str:
    """Return a hash of the source of the package that a module stands in (``__name__``): the
    version of the code in an identity."""
    return source_of_package(module.partition(".")[0])


def kept_rows(
    identity: Callable[[], Mapping[str, Any] | None],
    keys: Sequence[bytes],
    compute: Compute,
) -> Array:
    """Return the values of rows, of shape (rows, …): those that the store knows, and the others by
    ``compute(indices)``.

    ``identity`` returns all that determines the values of a row but its key: the digests of the
    model's files, its number format, what was computed, the version of the code. None stands for a
    model that has none, such as one in training. It is called inside a step of a run only; outside,
    and where the engine's ``keep_scores`` is off, this is ``compute`` of all rows.

    ``keys`` stand for what the model sees of each row: its tokens, or its text. Rows with the same
    key must have the same values up to rounding, whatever rows are beside them. ``compute`` gets
    indices of rows (int64), each key once, and returns float32 or float64 of shape (indices, …).

    Rows of more than ``MOST_NUMBERS`` numbers, and those that are not finite, are not kept.
    """
    import numpy as np

    current = keeping()
    known_as = identity() if current is not None and len(keys) else None
    if current is None or known_as is None:
        return compute(np.arange(len(keys)))
    return current.rows(known_as, keys, compute)


def kept_answers(
    identity: Callable[[], Mapping[str, Any] | None], keys: Sequence[bytes], ask: Ask
) -> Array:
    """Return the values of rows as ``kept_rows`` does, of a model whose answers are paid for one by
    one, as a server's are, and the same whatever rows are beside them.

    ``ask(indices, keep)`` returns the values of all indices, and calls ``keep(some, values)`` when
    some have come and are known to be right, from any thread: these are in the store a second
    later, though the others fail or the process is killed, and every step that asks later sees
    them. Values that it does not pass on are kept as by ``kept_rows``.
    """
    import numpy as np

    current = keeping()
    known_as = identity() if current is not None and len(keys) else None
    if current is None or known_as is None:
        return ask(np.arange(len(keys)), lambda *_: None)
    return current.answers(known_as, keys, ask)
