"""The evaluation of expressions over the rows of a table, with Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import text_of
from rmplug.data.messages import message_type

from ._expression_syntax import (
    Call,
    ColumnName,
    Literal,
    Node,
    parse,
    reached_columns,
    unknown_column,
)
from ._expression_text import TOO_DEEP, mistake
from ._lexical import measure_texts

TYPES = {"number": pa.float64(), "text": pa.string(), "truth": pa.bool_()}
COMPARISONS = {
    "==": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater,
    ">=": pc.greater_equal,
}  # fmt: skip


def _remainder(a: Any, b: Any) -> Any:
    return pc.subtract(a, pc.multiply(pc.floor(pc.divide(a, b)), b))


def _count_words(texts: Any) -> Any:
    if isinstance(texts, pa.Scalar):
        return pa.scalar(len(texts.as_py().split()) if texts.is_valid else None, pa.float64())
    counts = pa.array(measure_texts(texts, ("words",))["words"])
    return pc.if_else(pc.is_valid(texts), counts, pa.scalar(None, pa.float64()))


OPERATIONS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "and": ("truth", "truth", pc.and_kleene),
    "or": ("truth", "truth", pc.or_kleene),
    "not": ("truth", "truth", pc.invert),
    "+": ("number", "number", pc.add),
    "-": ("number", "number", pc.subtract),
    "*": ("number", "number", pc.multiply),
    "/": ("number", "number", pc.divide),
    "%": ("number", "number", _remainder),
    "len": ("text", "number", lambda texts: pc.utf8_length(texts).cast(pa.float64())),
    "words": ("text", "number", _count_words),
    "lower": ("text", "text", pc.utf8_lower),
    "contains": ("text", "truth", lambda text, part: pc.match_substring(text, part.as_py())),
    "startswith": ("text", "truth", lambda text, part: pc.starts_with(text, part.as_py())),
}
"""The kind of the operands, the kind of the whole, and its computation from one operand or two."""


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
        result = evaluate(node, table)
    except RecursionError:  # parse was just within Python's limit
        raise mistake(1, TOO_DEEP) from None
    if result.kind not in ("truth", "null"):
        what = f"the whole is a {result.kind}; compare it with something, such as > 0"
        raise mistake(node.at, what)
    true = pc.fill_null(result.values.cast(pa.bool_()), False)
    return pa.repeat(true, table.num_rows) if isinstance(true, pa.Scalar) else true


def evaluate(node: Node, table: pa.Table) -> Computed:
    """Compute the value of a node for every row, or one value for all rows."""
    if isinstance(node, Literal):
        kinds = {float: "number", str: "text", bool: "truth"}
        known = node.value is not None
        return Computed(kinds[type(node.value)], pa.scalar(node.value)) if known else NULL
    if isinstance(node, ColumnName):
        return _typed(node, _read_column(node, table))
    operands = [evaluate(operand, table) for operand in node.operands]
    if node.name in COMPARISONS:
        return _compare(node.name, node.at, *operands)
    if node.name == "in":
        return _find_in_list(node, *operands)
    if node.name == "is null":
        [first] = operands
        return Computed("truth", pc.is_null(first.values, nan_is_null=first.kind == "number"))
    return _apply(node, operands)


def _read_column(node: ColumnName, table: pa.Table) -> pa.Array:
    """Return a column, or a field of one: ``meta.source`` is ``source`` in ``meta``."""
    for name, path in reached_columns(node.name):
        if name in table.column_names:
            chunks = table[name].chunks
            values = chunks[0] if len(chunks) == 1 else table[name].combine_chunks()
            for part in path:
                if not pa.types.is_struct(values.type) or values.type.get_field_index(part) < 0:
                    break
                values = pc.struct_field(values, part)
            else:
                return values
    raise unknown_column(node, table.column_names)


def _typed(node: ColumnName, values: pa.Array) -> Computed:
    """Convert a column to number, text (of messages too) or truth; anything else is refused."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _typed(node, values.dictionary_decode())
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


def _compare(sign: str, at: int, left: Computed, right: Computed) -> Computed:
    if "null" in (left.kind, right.kind):
        return NULL
    if left.kind != right.kind:
        raise mistake(at, f"a {left.kind} cannot be compared with a {right.kind}")
    return Computed("truth", COMPARISONS[sign](left.values, right.values))


def _find_in_list(node: Call, first: Computed, *items: Computed) -> Computed:
    for item, written in zip(items, node.operands[1:], strict=True):
        _compare("==", written.at, first, item)
    if first.kind == "null":
        return NULL
    values = pa.array([item.values.as_py() for item in items], first.values.type)
    matches = pc.is_in(first.values, value_set=values)
    unknown = pa.scalar(None, pa.bool_())
    return Computed("truth", pc.if_else(pc.is_valid(first.values), matches, unknown))


def _apply(node: Call, operands: Sequence[Computed]) -> Computed:
    """Apply a function or an operator: ``and`` and ``or`` in three-valued logic, arithmetic on
    floats."""
    takes, gives, function = OPERATIONS[node.name]
    values = [operand.needed(takes, node.name, node.at) for operand in operands]
    if node.name in ("contains", "startswith"):
        part = values[1]
        if not isinstance(part, pa.Scalar) or not part.is_valid:
            raise mistake(node.at, f"the second value of {node.name} must be a text in quotes")
    return Computed(gives, reduce(function, values) if len(values) > 1 else function(*values))
