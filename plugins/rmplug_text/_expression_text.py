"""The text of an expression: bounded and checked piece by piece, then read by Python's parser.

Its pieces are checked first because Python's parser fails on some texts, and reads others
differently from how they look."""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
import warnings

from rmplug import DataError

LONGEST = 100_000
DEEPEST = 25
TOO_DEEP = "too long or nested too deep; write it simpler"
PIECE = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>(?P<quote>"{3}|'{3}|["'])(?:\\.|(?!(?P=quote))[^\\])*(?P<closed>(?P=quote))?)
    |(?P<name>[^\W\d]\w*(?:\.\w+)*)
    |(?P<odd>`[^`]*`?|\*\*|//|<<|>>|<>)
    |(?P<open>[(\[])
    |(?P<close>[)\]])
    |(?P<sign>[=!<>]=|[-+*/%<>,]|\d[\w.]*|\.\d\w*)
    |(?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)
WORDS = ("and", "or", "not", "in", "is")
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


def mistake(at: int, message: str) -> DataError:
    return DataError(f"where, at position {at}: {message}")


def read_tree(text: str) -> tuple[str, int, ast.expr]:
    """Read an expression with Python's parser: on one line, with the position of its first
    character and its tree. ``DataError`` with the position of a mistake."""
    if not text.strip():
        raise mistake(1, "the expression is empty; write one such as len(chosen) > 200")
    if len(text) > LONGEST:
        raise mistake(
            LONGEST, f"more than {LONGEST} characters; write it shorter, or as several filters"
        )
    line = _on_one_line(text)
    start = len(line) - len(line.lstrip())
    try:
        return line, start, _tree(line, start)
    except (ValueError, RecursionError, MemoryError):
        raise mistake(1, TOO_DEEP) from None


def _on_one_line(text: str) -> str:
    """Refuse what Python's parser fails on or reads differently; join lines."""
    depths = [0]  # how many signs wait for their operand, for each open bracket
    chained, before = 0, ""  # brackets behind brackets, which some Pythons read at any length
    for piece in PIECE.finditer(text):
        part, kind, at = piece.group(), piece.lastgroup, piece.start() + 1
        _check_piece(piece, at)
        if kind == "open":
            chained += before == "close"
            depths.append(0)
        elif kind == "close":
            depths = [*depths[:-2], 0]
        elif kind != "space":
            depths[-1] = depths[-1] + 1 if part in ("not", "-", "+") else 0
        before = before if kind == "space" else str(kind)
        if len(depths) - 1 + sum(depths) + max(chained, _fields(piece)) > DEEPEST:
            raise mistake(at, f"nested more than {DEEPEST} deep; write it simpler")
    return PIECE.sub(lambda piece: " " * len(piece["space"] or "") or piece.group(), text)


def _fields(piece: re.Match[str]) -> int:
    return (piece["name"] or "").count(".")


def _check_piece(piece: re.Match[str], at: int) -> None:
    part = piece.group()
    if part[0] == "`":
        name = as_written(part.strip("`") or "a b")
        raise mistake(at, f"names are not written between backquotes any more; write {name}")
    if piece.lastgroup in ("odd", "unknown"):
        hint = f"; write {INSTEAD[part]}" if part in INSTEAD else ""
        raise mistake(at, f"{part!r} has no meaning here{hint}")
    if piece.lastgroup == "name" and part not in WORDS and not is_plain(part):
        name = INSTEAD.get(part) or f"{as_written(part)} for the column"
        raise mistake(at, f"{part!r} is no plain name to Python; write {name}")
    if piece["quote"]:
        if piece["closed"] is None:
            raise mistake(at, f"the {piece['quote']} is not closed")
        if "\n" in part or "\r" in part:
            raise mistake(at, r"the text holds a line break; write it as \n")
        check_characters(part, at)


def check_characters(text: str, at: int) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise mistake(at, "the text holds half of a surrogate pair, which is no character")


def is_plain(name: str) -> bool:
    """Check whether Python reads a name, with dots or without, unquoted."""
    return unicodedata.is_normalized("NFKC", name) and all(
        part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")
    )


def as_written(name: str) -> str:
    """Write a column's name as an expression needs it."""
    if is_plain(name) and name not in ("true", "false", "null"):
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


def _start_of_text(line: str, at: int) -> int:
    """Return where a text in quotes begins; Python 3.14 points at a character within."""
    pieces = PIECE.finditer(line)
    return next(piece.start() + 1 for piece in pieces if piece.end() >= at)


def _explained(line: str, message: str, at: int) -> DataError:
    """Explain what is expected where Python's parser stopped, or repeat its message."""
    for word, reason in UNREADABLE.items():
        if word in message:
            return mistake(_start_of_text(line, at) if word == "escape" else at, reason)
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
