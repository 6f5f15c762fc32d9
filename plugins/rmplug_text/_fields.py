"""The fields of a row by their dotted names, and columns of all the others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from rmplug import DataError
from rmplug.data.raw_texts import MISSING, BadRow, find, shown

MOST_SUBFIELDS = 100
MOST_COLUMNS = 1000
DEEPEST = 6
NUMBERS = ("margin", "weight", "rank", "score")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|nan", re.IGNORECASE)
_REAL_TEXT = re.compile(
    r"-?(0|[1-9][0-9]*)?\.[0-9]+([eE][-+]?[0-9]+)?|-?(0|[1-9][0-9]*)[eE][-+]?[0-9]+"
)
_BOOLEAN, _WHOLE, _REAL, _TEXT, _OTHER = 1, 2, 4, 8, 16
_TYPES: dict[int, Callable[[], pa.DataType]] = {
    _BOOLEAN: pa.bool_,
    _WHOLE: pa.int64,
    _REAL: pa.float64,
    _WHOLE | _REAL: pa.float64,
}


def need(value: Mapping[str, Any], path: str) -> Any:
    """What stands at a path; a row without it is bad."""
    found = find(value, path)
    if found is MISSING:
        raise BadRow(f"no {path!r}", missing=path)
    return found


def identifier(value: Any, name: str) -> str:
    """An id or a group as text."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRow(
        f"{name} is neither text nor a whole number", f"but {json.dumps(value, default=str)[:40]}"
    )


def number(value: Any, name: str) -> float | None:
    """A number, also one written as text; ``None`` where it is missing."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value == "":
        return None
    if isinstance(value, str) and (
        _NUMBER.fullmatch(value.strip()) or value.strip().lower() == "nan"
    ):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise BadRow(f"{name} is not a number", f"but {shown(value)}")


def flatten(value: Mapping[str, Any], whole: Iterable[str] = ()) -> dict[str, Any]:
    """Nested mappings as dotted names; the top-level names in ``whole`` are left as they are."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if type(item) is dict and name not in whole:
            _flatten_into(flat, f"{name}.", item, DEEPEST)
        else:
            flat[name] = item
    return flat


def _flatten_into(flat: dict[str, Any], prefix: str, value: Mapping[str, Any], depth: int) -> None:
    for name, item in value.items():
        if type(item) is dict and depth:
            _flatten_into(flat, f"{prefix}{name}.", item, depth - 1)
        else:
            flat[prefix + name] = item


class Columns:
    """Learns from all rows which further columns there are and what type each has.

    One type of value gives a column of that type; whole and real numbers together are real;
    anything else is text, where strings stay as they are and other values are written as JSON. A
    mapping with more than ``MOST_SUBFIELDS`` different keys is one column of JSON.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.kinds: dict[str, int] = {}
        self.texts = frozenset(texts)
        self.whole: set[str] = set()
        self._members: dict[str, int] = {}

    def learn(self, values: Mapping[str, Any], typed: bool) -> None:
        """Take one row's values into account."""
        for name, value in values.items():
            known = self.kinds.get(name)
            if known is None:
                if not self._admit(name):
                    continue
                known = 0
            self.kinds[name] = known | kind_of(value, typed)

    def _admit(self, name: str) -> bool:
        """Whether a name that is new becomes a column of its own."""
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
        """A mapping with too many keys becomes one column."""
        self.whole.add(top)
        for name in [name for name in self.kinds if name.startswith(f"{top}.")]:
            del self.kinds[name]
        self.kinds[top] = self.kinds.get(top, 0) | _OTHER

    def type_of(self, name: str) -> pa.DataType:
        kind = _TEXT if name in self.texts else self.kinds[name]
        if kind in (0, _WHOLE) and (name in NUMBERS or name.startswith("ratings.")):
            return pa.float64()
        return _TYPES.get(kind, pa.string)()

    def array(self, name: str, values: list[Any]) -> pa.Array:
        """One batch of a column."""
        kind = self.type_of(name)
        if pa.types.is_string(kind):
            return pa.array([_as_text(value) for value in values], type=kind)
        if pa.types.is_boolean(kind):
            return pa.array(values, type=kind)
        real = pa.types.is_floating(kind)
        return pa.array([_as_number(value, real) for value in values], type=kind)


def kind_of(value: Any, typed: bool = True) -> int:
    """What type of value this is, as one bit; 0 for a missing one."""
    if value is None:
        return 0
    if isinstance(value, str):
        return _TEXT if typed else _kind_of_text(value)
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, int):
        return _WHOLE if -(2**63) <= value < 2**63 else _OTHER
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
