"""The syntax of expressions such as ``subset in ['math', 'code'] and len(chosen) > 200``.

Python's own parser reads them; what is on a white list is translated into the nodes below, and
nothing is ever run as Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from rmplug import DataError
from rmplug.errors import did_you_mean, some

from ._expression_text import (
    PIECE,
    TOO_DEEP,
    as_written,
    check_characters,
    is_plain,
    mistake,
    read_tree,
)

GAP = re.compile("[ )]*")
CONSTANTS = {"true": True, "false": False, "null": None}
FUNCTIONS = {"len": 1, "words": 1, "lower": 1, "contains": 2, "startswith": 2, "col": 1}
SIGNS: dict[type[ast.AST], str] = {
    ast.And: "and", ast.Or: "or", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=",
    ast.Gt: ">", ast.GtE: ">=", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Mod: "%",
}  # fmt: skip
PLAIN = "; write one number such as 0.5, or one text in quotes without a letter before it"
REFUSED: dict[type[ast.AST], str] = {
    ast.List: "; a list stands after in, and is not empty",
    ast.Subscript: "; write a field of a column as meta.source",
    ast.Constant: PLAIN,
    ast.JoinedStr: PLAIN,
}


@dataclass(frozen=True)
class Literal:
    """A number, a text, true, false or null; ``at`` is its position, counted from 1."""

    value: float | str | bool | None
    at: int


@dataclass(frozen=True)
class ColumnName:
    name: str
    at: int


@dataclass(frozen=True)
class Call:
    """A function, a comparison or an operator with its operands."""

    name: str
    operands: tuple[Node, ...]
    at: int


Node: TypeAlias = Literal | ColumnName | Call


def parse(text: str) -> Node:
    """Parse an expression to its tree; ``DataError`` with the position of a mistake."""
    line, start, tree = read_tree(text)
    try:
        return Translator(line, start).node(tree)
    except RecursionError:
        raise mistake(1, TOO_DEEP) from None


def reached_columns(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each column that a name may reach into, with the fields within: ``meta.source``
    itself, then ``source`` in ``meta``."""
    parts = name.split(".")
    yield from ((".".join(parts[:cut]), parts[cut:]) for cut in range(len(parts), 0, -1))


def unknown_column(node: ColumnName, present: Sequence[str]) -> DataError:
    hint, shown = did_you_mean(node.name, present), some(map(as_written, present), 12)
    return mistake(node.at, f"no column {node.name!r}{hint}; there are {shown}")


class Translator:
    """A translator of the allowed nodes of Python's tree; it refuses the first other one
    unopened."""

    def __init__(self, line: str, start: int) -> None:
        self.line = line
        indices = [index for index, character in enumerate(line) for _ in character.encode()]
        self.characters = [*indices[start:], len(line)]  # Python counts the bytes of UTF-8

    def start(self, node: ast.expr) -> int:
        return self.characters[node.col_offset] + 1

    def sign_after(self, node: ast.expr) -> int:
        rest = GAP.match(self.line, self.characters[node.end_col_offset or 0])
        return rest.end() + 1 if rest else 0

    def written(self, node: ast.expr) -> str:
        return self.line[self.start(node) - 1 : self.characters[node.end_col_offset or 0]]

    def node(self, node: ast.expr) -> Node:
        at = self.start(node)
        match node:
            case ast.Constant():
                return self.constant(node, self.written(node), at)
            case ast.Name(id="true" | "false" | "null"):
                return Literal(CONSTANTS[node.id], at)
            case ast.Name() | ast.Attribute() if is_plain(self.written(node)):
                return ColumnName(self.written(node), at)
            case ast.UnaryOp(op=ast.Not()):
                return Call("not", (self.node(node.operand),), at)
            case ast.UnaryOp(op=ast.USub()):
                operand = self.node(node.operand)
                if isinstance(operand, Literal) and isinstance(operand.value, float):
                    return Literal(-operand.value, at)
                return Call("-", (Literal(-0.0, at), operand), at)  # the sign of zero too
            case ast.BoolOp():
                return self.joined(node.op, node.values)
            case ast.BinOp() if type(node.op) in SIGNS:
                return self.joined(node.op, [node.left, node.right])
            case ast.Compare():
                return self.comparison(node)
            case ast.Call(keywords=[]):
                return self.call(node, self.written(node.func), at)
        raise self.refused(node)

    def refused(self, node: ast.expr) -> DataError:
        hint = REFUSED.get(type(node), "")
        return mistake(self.start(node), f"{self.written(node)!r} has no meaning here{hint}")

    def constant(self, node: ast.Constant, written: str, at: int) -> Literal:
        piece = PIECE.fullmatch(written)
        if isinstance(node.value, str) and piece and piece["quote"]:  # not 'a' 'b' nor r'a'
            check_characters(node.value, at)
            return Literal(node.value, at)
        with suppress(ValueError):
            return Literal(float(written), at)
        raise self.refused(node)

    def joined(self, sign: ast.AST, operands: Sequence[ast.expr]) -> Call:
        at = self.sign_after(operands[0])
        return Call(SIGNS[type(sign)], tuple(map(self.node, operands)), at)

    def comparison(self, node: ast.Compare) -> Call:
        """Translate a comparison, or several that must all be true, as in ``0 < n <= 3``."""
        if len(node.ops) > 1 and not all(type(sign) in SIGNS for sign in node.ops):
            raise mistake(self.start(node), "in and is stand alone; join two comparisons with and")
        operands = [node.left, *node.comparators]
        calls = tuple(map(self.compared, node.ops, operands, operands[1:]))
        return Call("and", calls, calls[0].at) if len(calls) > 1 else calls[0]

    def compared(self, sign: ast.cmpop, left: ast.expr, right: ast.expr) -> Call:
        if type(sign) in SIGNS:
            return self.joined(sign, [left, right])
        at, operand = self.sign_after(left), self.node(left)
        is_null = isinstance(sign, ast.Is | ast.IsNot)
        if is_null and self.written(right) == "null":
            call = Call("is null", (operand,), at)
        elif not is_null and isinstance(right, ast.List):
            call = Call("in", (operand, *map(self.item, right.elts or [right])), at)
        else:
            wanted = "null" if is_null else "["
            raise mistake(self.start(right), f"{wanted!r} is expected, not {self.written(right)!r}")
        return Call("not", (call,), at) if isinstance(sign, ast.IsNot | ast.NotIn) else call

    def item(self, node: ast.expr) -> Node:
        item = self.node(node)
        if isinstance(node, ast.UnaryOp) and not isinstance(item, Literal):
            raise mistake(item.at, "'-' needs a number")
        if not isinstance(item, Literal) or item.value is None:
            raise mistake(item.at, "a list holds numbers, texts, true or false")
        return item

    def call(self, node: ast.Call, name: str, at: int) -> Node:
        if name not in FUNCTIONS:
            hint = did_you_mean(name, FUNCTIONS)
            raise mistake(at, f"no function {name!r}{hint}; there are {', '.join(FUNCTIONS)}")
        operands = tuple(self.node(operand) for operand in node.args)
        if len(operands) != FUNCTIONS[name]:
            raise mistake(at, f"{name} takes {FUNCTIONS[name]} value(s), not {len(operands)}")
        if name != "col":
            return Call(name, operands, at)
        if isinstance(operands[0], Literal) and isinstance(operands[0].value, str):
            return ColumnName(operands[0].value, at)
        raise mistake(at, 'col takes the name of a column in quotes, such as col("a b")')
