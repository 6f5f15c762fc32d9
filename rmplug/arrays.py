"""``Array``: the type of NumPy arrays in signatures. Importing it does not load NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

# a string, so that a menu or a module that loads NumPy late can import it too
Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
"""Of any shape and element type: what a function takes and gives stands in its docstring."""
