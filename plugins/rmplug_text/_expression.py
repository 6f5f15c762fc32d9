"""Expressions over columns, such as ``subset in ['math', 'code'] and len(chosen) > 200``: parsed
here, computed with Arrow, never evaluated as code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from rmplug import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`[^`]+`)
    |(?P<name>[^\W\d]\w*(?:\.\w+)*)
    |(?P<sign>==|!=|<=|>=|<|>|[-+*/%()\[\],])""",
    re.VERBOSE | re.DOTALL,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
WORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
COMPARISONS = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
FUNCTIONS = {"len": 1, "words": 1, "lower": 1, "contains": 2, "startswith": 2}
DEEPEST = 25


@dataclass(frozen=True)
class Token:
    """A piece of an expression; ``at`` is its position, counted from 1."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Literal:
    """A number, a text, true, false or null."""

    value: float | str | bool | None
    at: int


@dataclass(frozen=True)
class Column:
    name: str
    at: int


@dataclass(frozen=True)
class Call:
    """A function, a comparison or an operator with its operands."""

    name: str
    operands: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Chain:
    """Operands joined by operators of one rank, from left to right."""

    first: Node
    rest: tuple[tuple[str, int, Node], ...]
    at: int


Node: TypeAlias = Literal | Column | Call | Chain


def fail(at: int, message: str) -> NoReturn:
    raise DataError(f"where, at position {at}: {message}")


def parse(text: str) -> Node:
    """The tree of an expression; what cannot be read is a ``DataError`` with its position."""
    return Parser(text).whole()


def tokens_of(text: str) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            _refuse(text, place)
        if found.lastgroup != "space":
            tokens.append(Token(str(found.lastgroup), found.group(), place + 1))
        place = found.end()
    return [*tokens, Token("end", "", len(text) + 1)]


def _refuse(text: str, place: int) -> NoReturn:
    character = text[place]
    if character in "\"'`":
        fail(place + 1, f"the {character} is not closed")
    hint = "; write == for equality" if character == "=" else ""
    fail(place + 1, f"{character!r} has no meaning here{hint}")


class Parser:
    """Recursive descent, one method per rank of operators."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens_of(text)
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def whole(self) -> Node:
        if self.token.kind == "end":
            fail(1, "the expression is empty; write one such as len(chosen) > 200")
        node = self.either()
        if self.token.kind != "end":
            self.expected("and, or, or the end")
        return node

    def expected(self, what: str) -> NoReturn:
        found = repr(self.token.text) if self.token.kind != "end" else "the end"
        fail(self.token.at, f"{what} is expected, not {found}")

    def take(self, *texts: str) -> Token | None:
        """The next token if it is one of these signs or words."""
        token = self.token
        if token.kind not in ("sign", "name") or token.text not in texts:
            return None
        self.place += 1
        return token

    def need(self, text: str) -> Token:
        return self.take(text) or self.expected(repr(text))

    def chain(self, operand: Callable[[], Node], *signs: str) -> Node:
        first = operand()
        rest = []
        while sign := self.take(*signs):
            rest.append((sign.text, sign.at, operand()))
        return Chain(first, tuple(rest), rest[0][1]) if rest else first

    def either(self) -> Node:
        return self.chain(self.both, "or")

    def both(self) -> Node:
        return self.chain(self.negated, "and")

    def nested(self, at: int, inner: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            fail(at, f"nested more than {DEEPEST} deep; write it simpler")
        node = inner()
        self.depth -= 1
        return node

    def negated(self) -> Node:
        if sign := self.take("not"):
            return Call("not", (self.nested(sign.at, self.negated),), sign.at)
        return self.compared()

    def compared(self) -> Node:
        left = self.sum()
        if sign := self.take(*COMPARISONS):
            node = Call(sign.text, (left, self.sum()), sign.at)
            if self.token.text in COMPARISONS and self.token.kind == "sign":
                self.expected("one comparison at a time (join two with and)")
            return node
        if sign := self.take("is"):
            negated = self.take("not")
            self.need("null")
            node = Call("is null", (left,), sign.at)
            return Call("not", (node,), sign.at) if negated else node
        if sign := self.take("in"):
            return Call("in", (left, *self.listed()), sign.at)
        if sign := self.take("not"):
            self.need("in")
            return Call("not", (Call("in", (left, *self.listed()), sign.at),), sign.at)
        return left

    def listed(self) -> list[Node]:
        self.need("[")
        items = [self.literal()]
        while self.take(","):
            items.append(self.literal())
        self.need("]")
        return items

    def literal(self) -> Node:
        minus = self.take("-")
        node = self.atom()
        if not isinstance(node, Literal) or node.value is None:
            fail(node.at, "a list holds numbers, texts, true or false")
        if not minus:
            return node
        if isinstance(node.value, bool | str):
            fail(minus.at, "'-' needs a number")
        return Literal(-node.value, minus.at)

    def sum(self) -> Node:
        return self.chain(self.product, "+", "-")

    def product(self) -> Node:
        return self.chain(self.signed, "*", "/", "%")

    def signed(self) -> Node:
        if sign := self.take("-"):
            return Call("minus", (self.nested(sign.at, self.signed),), sign.at)
        return self.atom()

    def atom(self) -> Node:
        token = self.token
        if sign := self.take("("):
            node = self.nested(sign.at, self.either)
            self.need(")")
            return node
        if token.kind not in ("number", "text", "name", "quoted"):
            self.expected("a column, a number, a text or '('")
        self.place += 1
        if token.kind == "number":
            return Literal(float(token.text), token.at)
        if token.kind == "text":
            return Literal(_unquoted(token), token.at)
        if token.kind == "quoted":
            return Column(token.text[1:-1], token.at)
        return self.named(token)

    def named(self, token: Token) -> Node:
        if token.text in ("null", "true", "false"):
            return Literal({"null": None, "true": True, "false": False}[token.text], token.at)
        if token.text in WORDS:
            fail(token.at, f"a value is expected before {token.text!r}")
        if self.take("("):
            return self.call(token)
        return Column(token.text, token.at)

    def call(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            hint = did_you_mean(token.text, FUNCTIONS)
            fail(token.at, f"no function {token.text!r}{hint}; there are {', '.join(FUNCTIONS)}")
        operands = [self.nested(token.at, self.either)]
        while self.take(","):
            operands.append(self.nested(token.at, self.either))
        self.need(")")
        if len(operands) != FUNCTIONS[token.text]:
            wanted = FUNCTIONS[token.text]
            fail(token.at, f"{token.text} takes {wanted} value(s), not {len(operands)}")
        return Call(token.text, tuple(operands), token.at)


def _unquoted(token: Token) -> str:
    text = re.sub(
        r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), token.text[1:-1], flags=re.DOTALL
    )
    if any("\ud800" <= character <= "\udfff" for character in text):
        fail(token.at, "the text holds half of a surrogate pair, which is no character")
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class Computed:
    """What a part of an expression is for every row: a number, a text, a truth or null."""

    kind: str
    values: pa.Array | pa.Scalar


def mask(text: str, table: pa.Table) -> pa.Array:
    """For which rows the expression is true; where a missing value leaves it open, it is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    node = parse(text)
    result = Evaluation(table).value(node)
    if result.kind == "null":
        return pa.repeat(pa.scalar(False), table.num_rows)
    if result.kind != "truth":
        fail(node.at, f"the whole is a {result.kind}; compare it with something, such as > 0")
    if isinstance(result.values, pa.Scalar):
        return pa.repeat(pc.fill_null(result.values, False), table.num_rows)
    return pc.fill_null(result.values, False)


class Evaluation:
    """Computes the nodes of an expression over the rows of a table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def value(self, node: Node) -> Computed:
        if isinstance(node, Literal):
            return literal(node.value)
        if isinstance(node, Column):
            return self.column(node)
        if isinstance(node, Chain):
            return self.chained(node)
        operands = [self.value(operand) for operand in node.operands]
        if node.name == "in":
            return self.listed(node, operands)
        if node.name in COMPARISONS:
            return compared(node, *operands)
        return applied(node, operands)

    def chained(self, node: Chain) -> Computed:
        result = self.value(node.first)
        for sign, at, operand in node.rest:
            result = joined(sign, at, result, self.value(operand))
        return result

    def listed(self, node: Call, operands: Sequence[Computed]) -> Computed:
        import pyarrow as pa
        import pyarrow.compute as pc

        first, *items = operands
        for item, written in zip(items, node.operands[1:], strict=True):
            compared(Call("==", (), written.at), first, item)
        if first.kind == "null":
            return first
        known = pa.array([item.values.as_py() for item in items], first.values.type)
        found = pc.is_in(first.values, value_set=known)
        return Computed("truth", pc.if_else(pc.is_valid(first.values), found, _unknown()))

    def column(self, node: Column) -> Computed:
        """A column, or a field of one: ``meta.source`` is ``source`` in ``meta``."""
        import pyarrow as pa
        import pyarrow.compute as pc

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
        return self.unknown(node)

    def unknown(self, node: Column) -> NoReturn:
        names = self.table.column_names
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        hint = did_you_mean(node.name, names)
        fail(node.at, f"no column {node.name!r}{hint}; there are {shown}")


def _unknown() -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(None, pa.bool_())


def _array(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def literal(value: float | str | bool | None) -> Computed:
    import pyarrow as pa

    if value is None:
        return Computed("null", pa.scalar(None))
    if isinstance(value, bool):
        return Computed("truth", pa.scalar(value))
    if isinstance(value, str):
        return Computed("text", pa.scalar(value, pa.string()))
    return Computed("number", pa.scalar(value, pa.float64()))


def typed(node: Column, values: pa.Array) -> Computed:
    """A column as number, text (of messages too) or truth; anything else is refused."""
    import pyarrow as pa

    from rmplug import text_of
    from rmplug.data.messages import message_type

    kind = values.type
    if pa.types.is_dictionary(kind):
        return typed(node, values.dictionary_decode())
    if pa.types.is_null(kind):
        return Computed("null", pa.scalar(None))
    if pa.types.is_boolean(kind):
        return Computed("truth", values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Computed("number", values.cast(pa.float64(), safe=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Computed("text", values.cast(pa.string()))
    if kind.equals(message_type()):
        return Computed("text", text_of(values))
    fail(node.at, f"column {node.name!r} is {kind}; numbers, texts and true or false can be used")


def compared(node: Call, left: Computed, right: Computed) -> Computed:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "null" in (left.kind, right.kind):
        return Computed("null", pa.scalar(None))
    if left.kind != right.kind:
        fail(node.at, f"a {left.kind} cannot be compared with a {right.kind}")
    return Computed("truth", pc.call_function(COMPARISONS[node.name], [left.values, right.values]))


def joined(sign: str, at: int, left: Computed, right: Computed) -> Computed:
    """``and``/``or`` with missing values left open, and arithmetic on floats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted, kind = ("truth", pa.bool_()) if sign in ("and", "or") else ("number", pa.float64())
    first, second = (_required(operand, wanted, kind, sign, at) for operand in (left, right))
    if sign == "%":
        whole = pc.floor(pc.divide(first, second))
        return Computed(wanted, pc.subtract(first, pc.multiply(whole, second)))
    function = {
        "and": pc.and_kleene,
        "or": pc.or_kleene,
        "+": pc.add,
        "-": pc.subtract,
        "*": pc.multiply,
        "/": pc.divide,
    }[sign]
    return Computed(wanted, function(first, second))


def _required(operand: Computed, wanted: str, kind: pa.DataType, sign: str, at: int) -> Any:
    import pyarrow as pa

    if operand.kind == "null":
        return pa.scalar(None, kind)
    if operand.kind != wanted:
        fail(at, f"{sign!r} needs a {wanted}, not a {operand.kind}")
    return operand.values


def applied(node: Call, operands: Sequence[Computed]) -> Computed:
    """A function or a sign before its operand."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first = operands[0]
    if node.name == "is null":
        known = first.values if first.kind != "null" else pa.scalar(None)
        return Computed("truth", pc.is_null(known, nan_is_null=first.kind == "number"))
    if node.name == "not":
        return Computed("truth", pc.invert(_required(first, "truth", pa.bool_(), "not", node.at)))
    if node.name == "minus":
        return Computed("number", pc.negate(_required(first, "number", pa.float64(), "-", node.at)))
    texts = [_required(one, "text", pa.string(), node.name, node.at) for one in operands]
    if node.name in ("contains", "startswith"):
        return _matched(node, *texts)
    if node.name == "lower":
        return Computed("text", pc.utf8_lower(texts[0]))
    lengths = pc.utf8_length(texts[0]) if node.name == "len" else _word_counts(texts[0])
    return Computed("number", lengths.cast(pa.float64()))


def _matched(node: Call, text: Any, part: Any) -> Computed:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(part, pa.Scalar) or not part.is_valid:
        fail(node.at, f"the second value of {node.name} must be a text in quotes")
    match = pc.match_substring if node.name == "contains" else pc.starts_with
    return Computed("truth", match(text, part.as_py()))


def _word_counts(texts: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    from ._lexical import measure_texts

    if isinstance(texts, pa.Scalar):
        return pa.scalar(len(texts.as_py().split()) if texts.is_valid else None, pa.int64())
    counts = pa.array(measure_texts(texts, ("words",))["words"])
    return pc.if_else(pc.is_valid(texts), counts, pa.scalar(None, pa.float64()))
