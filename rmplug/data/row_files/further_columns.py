"""The further columns of rows: those that a loader does not know by name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rmplug.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_SUBFIELDS = 100
MOST_COLUMNS = 1000
NUMBERS = ("margin", "weight", "rank", "score")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_REAL_TEXT = re.compile(
    r"-?(0|[1-9][0-9]*)?\.[0-9]+([eE][-+]?[0-9]+)?|-?(0|[1-9][0-9]*)[eE][-+]?[0-9]+"
)
_BOOLEAN, _WHOLE, _REAL, _TEXT, _TEXTS, _OTHER = 1, 2, 4, 8, 16, 32
_TYPES = {_BOOLEAN: "bool", _WHOLE: "int64", _REAL: "double", _WHOLE | _REAL: "double"}


class FurtherColumns:
    """The names and types of further columns, learned from all rows before any is converted.

    Columns whose values have one type get that type; whole and real numbers together are real;
    anything else is text, where strings stay as they are and other values are written as JSON. A
    mapping with more than ``MOST_SUBFIELDS`` different keys is one column of JSON. The columns in
    ``texts`` are text whatever they hold. With ``lists``, lists of texts stay lists.
    """

    def __init__(self, texts: Iterable[str] = (), lists: bool = False) -> None:
        self.kinds: dict[str, int] = {}
        self.texts = frozenset(texts)
        self.lists = lists
        self.whole: set[str] = set()
        self._members: dict[str, int] = {}

    def learn(self, values: Mapping[str, Any], typed: bool) -> None:
        """Take one row's values into account."""
        for name, value in values.items():
            bits = self.kinds.get(name)
            if bits is None:
                if not self._admit(name):
                    continue
                bits = 0
            self.kinds[name] = bits | _kind_of(value, typed)

    def _admit(self, name: str) -> bool:
        """Decide whether a new name becomes a column of its own."""
        top, dot, _ = name.partition(".")
        if dot and top in self.whole:
            return False
        self._members[top] = self._members.get(top, 0) + 1
        if dot and self._members[top] > MOST_SUBFIELDS:
            self._fold(top)
            return False
        if len(self.kinds) >= MOST_COLUMNS:
            raise DataError(
                f"the rows have more than {MOST_COLUMNS} different columns; "
                "keep free-form values in one nested mapping"
            )
        return True

    def _fold(self, top: str) -> None:
        """Make one column of a mapping with too many keys."""
        self.whole.add(top)
        for name in [name for name in self.kinds if name.startswith(f"{top}.")]:
            del self.kinds[name]
        self.kinds[top] = self.kinds.get(top, 0) | _OTHER

    def type_of(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        import pyarrow as pa

        kind = _TEXT if name in self.texts else self.kinds[name]
        if kind in (0, _WHOLE) and (name in NUMBERS or name.startswith("ratings.")):
            return pa.float64()
        if kind == _TEXTS and self.lists:
            return pa.list_(pa.string())
        return pa.type_for_alias(_TYPES.get(kind, "string"))

    def array(self, name: str, values: list[Any]) -> pa.Array:
        """Return the values of one batch as an array of the column's type."""
        import pyarrow as pa

        kind = self.type_of(name)
        if pa.types.is_string(kind):
            return pa.array([_as_text(value) for value in values], type=kind)
        if pa.types.is_boolean(kind) or pa.types.is_list(kind):
            return pa.array(values, type=kind)
        real = pa.types.is_floating(kind)
        return pa.array([_as_number(value, real) for value in values], type=kind)


def _kind_of(value: Any, typed: bool) -> int:
    """Return the type of a value as one bit; 0 for a missing one."""
    if value is None:
        return 0
    if isinstance(value, str):
        return _TEXT if typed else _kind_of_text(value)
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, int):
        return _WHOLE if -(2**63) <= value < 2**63 else _OTHER
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _TEXTS
    return _REAL if isinstance(value, float) else _OTHER


def _kind_of_text(value: str) -> int:
    if not value:
        return 0
    if _INTEGER.fullmatch(value):
        return _WHOLE
    is_real = _REAL_TEXT.fullmatch(value) and math.isfinite(float(value))
    return _REAL if is_real else _TEXT


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _as_number(value: Any, real: bool) -> float | int | None:
    if value is None or value == "":
        return None
    return float(value) if real else int(value)
