"""The evaluation of expressions over the rows of a table, with Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, text_of
from rmplug.data.messages import message_type
from rmplug.errors import did_you_mean, some

from ._expression_syntax import (
    TOO_DEEP,
    Call,
    ColumnName,
    Literal,
    Node,
    as_written,
    mistake,
    parse,
)
from ._lexical import measure_texts

COMPARISONS = {
    "==": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater,
    ">=": pc.greater_equal,
}  # fmt: skip
JOINS = {
    "and": pc.and_kleene, "or": pc.or_kleene, "+": pc.add, "-": pc.subtract, "*": pc.multiply,
    "/": pc.divide, "%": lambda a, b: pc.subtract(a, pc.multiply(pc.floor(pc.divide(a, b)), b)),
}  # fmt: skip
SIGNED = {"not": ("truth", pc.invert), "-": ("number", pc.negate)}
TYPES = {"number": pa.float64(), "text": pa.string(), "truth": pa.bool_()}


@dataclass(frozen=True)
class Computed:
    """The value of a part of an expression for every row: a number, a text, a truth or null."""

    kind: str
    values: pa.Array | pa.Scalar

    def needed(self, kind: str, sign: str, at: int) -> Any:
        """Return the values as operands of an operator or a function that takes this kind."""
        if self.kind == "null":
            return pa.scalar(None, TYPES[kind])
        if self.kind != kind:
            raise mistake(at, f"{sign!r} needs a {kind}, not a {self.kind}")
        return self.values


NULL = Computed("null", pa.scalar(None))


def mask(text: str, table: pa.Table) -> pa.Array:
    """Return a mask of the rows for which the expression is true; unknown counts as false."""
    node = parse(text)
    try:
        result = Evaluation(table).value(node)
    except RecursionError:  # parse was just within Python's limit
        raise mistake(1, TOO_DEEP) from None
    if result.kind not in ("truth", "null"):
        what = f"the whole is a {result.kind}; compare it with something, such as > 0"
        raise mistake(node.at, what)
    true = pc.fill_null(result.values.cast(pa.bool_()), False)
    return pa.repeat(true, table.num_rows) if isinstance(true, pa.Scalar) else true


class Evaluation:
    """The evaluation of an expression's nodes over the rows of a table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def value(self, node: Node) -> Computed:
        if isinstance(node, Literal):
            return literal(node.value)
        if isinstance(node, ColumnName):
            return self.column(node)
        operands = [self.value(operand) for operand in node.operands]
        if node.name == "in":
            return listed(node, operands)
        if node.name in COMPARISONS:
            return compared(node.name, node.at, *operands)
        if node.name in JOINS and len(operands) > 1:
            return joined(node.name, node.at, operands)
        return applied(node, operands)

    def column(self, node: ColumnName) -> Computed:
        """Return a column, or a field of one: ``meta.source`` is ``source`` in ``meta``."""
        parts = node.name.split(".")
        for cut in range(len(parts), 0, -1):
            name, path = ".".join(parts[:cut]), parts[cut:]
            if name not in self.table.column_names:
                continue
            values = _array(self.table[name])
            for part in path:
                if not pa.types.is_struct(values.type) or values.type.get_field_index(part) < 0:
                    break
                values = pc.struct_field(values, part)
            else:
                return typed(node, values)
        raise self.unknown(node)

    def unknown(self, node: ColumnName) -> DataError:
        names = self.table.column_names
        hint, shown = did_you_mean(node.name, names), some(map(as_written, names), 12)
        return mistake(node.at, f"no column {node.name!r}{hint}; there are {shown}")


def _array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def literal(value: float | str | bool | None) -> Computed:
    kinds = {float: "number", str: "text", bool: "truth"}
    return NULL if value is None else Computed(kinds[type(value)], pa.scalar(value))


def typed(node: ColumnName, values: pa.Array) -> Computed:
    """Convert a column to number, text (of messages too) or truth; anything else is refused."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return typed(node, values.dictionary_decode())
    if pa.types.is_null(kind):
        return NULL
    if pa.types.is_boolean(kind):
        return Computed("truth", values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Computed("number", values.cast(pa.float64(), safe=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Computed("text", values.cast(pa.string()))
    if kind.equals(message_type()):
        return Computed("text", text_of(values))
    what = f"column {node.name!r} is {kind}; numbers, texts and true or false can be used"
    raise mistake(node.at, what)


def compared(sign: str, at: int, left: Computed, right: Computed) -> Computed:
    if "null" in (left.kind, right.kind):
        return NULL
    if left.kind != right.kind:
        raise mistake(at, f"a {left.kind} cannot be compared with a {right.kind}")
    return Computed("truth", COMPARISONS[sign](left.values, right.values))


def joined(sign: str, at: int, operands: Sequence[Computed]) -> Computed:
    """Apply ``and``/``or`` in three-valued logic, and arithmetic on floats."""
    kind = "truth" if sign in ("and", "or") else "number"
    sides = [operand.needed(kind, sign, at) for operand in operands]
    return Computed(kind, reduce(JOINS[sign], sides))


def listed(node: Call, operands: Sequence[Computed]) -> Computed:
    first, *items = operands
    for item, written in zip(items, node.operands[1:], strict=True):
        compared("==", written.at, first, item)
    if first.kind == "null":
        return NULL
    values = pa.array([item.values.as_py() for item in items], first.values.type)
    matches = pc.is_in(first.values, value_set=values)
    unknown = pa.scalar(None, pa.bool_())
    return Computed("truth", pc.if_else(pc.is_valid(first.values), matches, unknown))


def applied(node: Call, operands: Sequence[Computed]) -> Computed:
    """Apply a function or a unary operator."""
    first = operands[0]
    if node.name == "is null":
        return Computed("truth", pc.is_null(first.values, nan_is_null=first.kind == "number"))
    if node.name in SIGNED:
        kind, function = SIGNED[node.name]
        return Computed(kind, function(first.needed(kind, node.name, node.at)))
    texts = [operand.needed("text", node.name, node.at) for operand in operands]
    if node.name in ("contains", "startswith"):
        return _matched(node, *texts)
    if node.name == "lower":
        return Computed("text", pc.utf8_lower(texts[0]))
    lengths = pc.utf8_length(texts[0]) if node.name == "len" else _word_counts(texts[0])
    return Computed("number", lengths.cast(pa.float64()))


def _matched(node: Call, text: Any, part: Any) -> Computed:
    if not isinstance(part, pa.Scalar) or not part.is_valid:
        raise mistake(node.at, f"the second value of {node.name} must be a text in quotes")
    match = pc.match_substring if node.name == "contains" else pc.starts_with
    return Computed("truth", match(text, part.as_py()))


def _word_counts(texts: Any) -> Any:
    if isinstance(texts, pa.Scalar):
        return pa.scalar(len(texts.as_py().split()) if texts.is_valid else None, pa.int64())
    counts = pa.array(measure_texts(texts, ("words",))["words"])
    return pc.if_else(pc.is_valid(texts), counts, pa.scalar(None, pa.float64()))
