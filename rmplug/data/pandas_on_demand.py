"""A delay of pandas: it stays out of a process until something imports it, though pyarrow looks for
it."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def keep_pandas_out() -> None:
    """Have pyarrow import pandas only when pandas itself is asked for, by ``to_pandas`` or by any
    import of it; without effect where pandas is there already.

    pyarrow imports pandas at its first ``pa.array`` or ``read_table``, merely to know its types if
    it should meet them: 0.3 to 0.8 CPU s and 33 MB in every process. What is lost: ``pandas.NA``
    and ``pandas.NaT`` inside columns of Python objects are refused by ``pa.array`` afterwards.
    """
    if "pandas" in sys.modules or any(isinstance(f, _PandasFinder) for f in sys.meta_path):
        return
    finder = _PandasFinder()
    sys.meta_path.insert(0, finder)
    try:
        _have_pyarrow_look()
    finally:
        finder.hidden = False


def _have_pyarrow_look() -> None:
    """Have pyarrow look for pandas, which it does once in each of two places: the shim of its
    Cython part, which tries again where it cannot do without pandas (``to_pandas``), and its C++
    part at the first conversion of Python objects, which never does."""
    import pyarrow as pa

    with suppress(AttributeError):  # of a pyarrow that does it differently
        _shim().have_pandas  # noqa: B018
    pa.array([None])


def _shim() -> Any:
    """Return the object by which pyarrow reaches pandas."""
    import pyarrow.lib

    return pyarrow.lib._pandas_api


class _PandasFinder:
    """An import hook that finds pandas as the import system would, and tells pyarrow once it is
    imported: else NaN in a Series would not become null. While ``hidden``, there is no pandas."""

    def __init__(self) -> None:
        self.hidden = True

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of pandas, with a loader that tells pyarrow; None for anything else."""
        if name != "pandas":
            return None
        if self.hidden:
            raise ModuleNotFoundError("pandas is not looked for yet", name=name)
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.loader is not None:
            _after(spec.loader)
        return spec


def _after(loader: Any) -> None:
    """Have pyarrow look for pandas again when the loader has executed it."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        with suppress(AttributeError, ImportError):  # of versions that do not fit each other
            _shim().pd  # noqa: B018

    loader.exec_module = exec_module
