"""The syntax of expressions such as ``subset in ['math', 'code'] and len(chosen) > 200``.

Python's own parser reads them; what is on a white list is translated into the nodes below, and
nothing is ever run as Python."""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from rmplug import DataError
from rmplug.errors import did_you_mean

LONGEST = 100_000
DEEPEST = 25
TOO_DEEP = "too long or nested too deep; write it simpler"
PIECE = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>(?P<quote>"{3}|'{3}|["'])(?:\\.|(?!(?P=quote))[^\\])*+(?P<closed>(?P=quote))?)
    |(?P<name>[^\W\d]\w*(?:\.\w+)*)
    |(?P<odd>`[^`]*`?|\*\*|//|<<|>>|<>)
    |(?P<open>[(\[])
    |(?P<close>[)\]])
    |(?P<sign>[=!<>]=|[-+*/%<>,]|\d[\w.]*|\.\d\w*)
    |(?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)
GAP = re.compile("[ )]*")
WORDS = ("and", "or", "not", "in", "is")
CONSTANTS = {"true": True, "false": False, "null": None}
FUNCTIONS = {"len": 1, "words": 1, "lower": 1, "contains": 2, "startswith": 2, "col": 1}
SIGNS: dict[type[ast.AST], str] = {
    ast.And: "and", ast.Or: "or", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=",
    ast.Gt: ">", ast.GtE: ">=", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Mod: "%",
}  # fmt: skip
INSTEAD = {
    "=": "== for equality", "<>": "!=", "&": "and", "|": "or", "!": "not", "~": "not",
    ".": 'a column as meta.source, or whole as col("a b.source")',
    "True": "true", "False": "false", "None": "null",
}  # fmt: skip
UNREADABLE = {
    "escape": r"a backslash in this text means nothing; write \\ for a backslash",
    "digits": "a number is too large; write one such as 1e300",
    "literal": 'this is no number; a column with such a name is written as in col("a-1")',
    "comma": "two values stand side by side; write and, or, a sign or a comma between them",
}
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


def mistake(at: int, message: str) -> DataError:
    return DataError(f"where, at position {at}: {message}")


def parse(text: str) -> Node:
    """Parse an expression to its tree; ``DataError`` with the position of a mistake."""
    if not text.strip():
        raise mistake(1, "the expression is empty; write one such as len(chosen) > 200")
    if len(text) > LONGEST:
        raise mistake(
            LONGEST, f"more than {LONGEST} characters; write it shorter, or as several filters"
        )
    line = _on_one_line(text)
    start = len(line) - len(line.lstrip())
    try:
        return Translator(line, start).node(_tree(line, start))
    except (ValueError, RecursionError, MemoryError):
        raise mistake(1, TOO_DEEP) from None


def _on_one_line(text: str) -> str:
    """Refuse what Python's parser fails on or reads differently; join lines."""
    depths = [0]  # how many signs wait for their operand, for each open bracket
    for piece in PIECE.finditer(text):
        part, kind, at = piece.group(), piece.lastgroup, piece.start() + 1
        _check_piece(piece, at)
        if kind == "open":
            depths.append(0)
        elif kind == "close":
            depths = [*depths[:-2], 0]
        elif kind != "space":
            depths[-1] = depths[-1] + 1 if part in ("not", "-", "+") else 0
        if len(depths) - 1 + sum(depths) > DEEPEST:
            raise mistake(at, f"nested more than {DEEPEST} deep; write it simpler")
    return PIECE.sub(lambda piece: " " * len(piece["space"] or "") or piece.group(), text)


def _check_piece(piece: re.Match[str], at: int) -> None:
    part = piece.group()
    if part[0] == "`":
        name = as_written(part.strip("`") or "a b")
        raise mistake(at, f"names are not written between backquotes any more; write {name}")
    if piece.lastgroup in ("odd", "unknown"):
        hint = f"; write {INSTEAD[part]}" if part in INSTEAD else ""
        raise mistake(at, f"{part!r} has no meaning here{hint}")
    if piece.lastgroup == "name" and part not in WORDS and not _is_plain(part):
        name = INSTEAD.get(part) or f"{as_written(part)} for the column"
        raise mistake(at, f"{part!r} is no plain name to Python; write {name}")
    if piece["quote"]:
        if piece["closed"] is None:
            raise mistake(at, f"the {piece['quote']} is not closed")
        if "\n" in part or "\r" in part:
            raise mistake(at, r"the text holds a line break; write it as \n")
        _check_characters(part, at)


def _check_characters(text: str, at: int) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise mistake(at, "the text holds half of a surrogate pair, which is no character")


def _is_plain(name: str) -> bool:
    """Check whether Python reads a name, with dots or without, unquoted."""
    return unicodedata.is_normalized("NFKC", name) and all(
        part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")
    )


def as_written(name: str) -> str:
    """Write a column's name as an expression needs it."""
    if _is_plain(name) and name not in CONSTANTS:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'col("{escaped}")'


def _tree(line: str, start: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as 1or 2, which Python may refuse one day
            warnings.filterwarnings("error", ".*escape sequence")  # becomes a SyntaxError
            return ast.parse(line[start:], mode="eval").body
    except SyntaxError as error:
        at = len(line) + 1
        if error.offset and "never closed" not in error.msg:  # its offset is the opening bracket
            at = start + error.offset
        raise _explained(line, error.msg, at) from None


def _explained(line: str, message: str, at: int) -> DataError:
    """Explain what is expected where Python's parser stopped, or repeat its message."""
    for word, reason in UNREADABLE.items():
        if word in message:
            return mistake(at, reason)
    *_, last = "", *(piece.group() for piece in PIECE.finditer(line[: at - 1].rstrip()))
    piece = PIECE.match(line, at - 1)
    token = piece.group() if piece else ""
    if last not in WORDS and re.match(r"[\w.)\]\"']", last):
        opened = re.search(r"'([(\[])'", message)
        wanted = {"(": "')'", "[": "']'"}[opened[1]] if opened else "and, or, or the end"
    elif token in WORDS:
        return mistake(at, f"a value is expected before {token!r}")
    else:
        wanted = "a column, a number, a text or '('"
    hint = f"; write {token.lower()}" if token.lower() in WORDS else ""
    return mistake(at, f"{wanted} is expected, not {repr(token) if token else 'the end'}{hint}")


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
            case ast.Name() | ast.Attribute() if _is_plain(self.written(node)):
                return ColumnName(self.written(node), at)
            case ast.UnaryOp(op=ast.Not()):
                return Call("not", (self.node(node.operand),), at)
            case ast.UnaryOp(op=ast.USub()):
                operand = self.node(node.operand)
                if isinstance(operand, Literal) and isinstance(operand.value, float):
                    return Literal(-operand.value, at)
                return Call("-", (operand,), at)
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
            _check_characters(node.value, at)
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
        if isinstance(sign, ast.Is | ast.IsNot):
            if self.written(right) != "null":
                raise mistake(self.start(right), f"'null' is expected, not {self.written(right)!r}")
            call = Call("is null", (operand,), at)
        else:
            if not isinstance(right, ast.List):
                raise mistake(self.start(right), f"'[' is expected, not {self.written(right)!r}")
            items = [self.item(item) for item in right.elts or [right]]
            call = Call("in", (operand, *items), at)
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
