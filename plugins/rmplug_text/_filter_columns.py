"""The columns that an expression names, and those that are certainly absent."""

from __future__ import annotations

from collections.abc import Iterator

from rmplug import Known
from rmplug.errors import did_you_mean, some

from ._expression_syntax import Call, ColumnName, Node, as_written, parse


def unknown_columns(where: str, data: Known, *features: Known) -> Iterator[str]:
    """Yield a message for each column that neither the data nor the features have; those of
    features are ``<step>.<column>``."""
    tables = [("", data), *((f"{table.step}.", table) for table in features)]
    present = [f"{start}{name}" for start, table in tables for name in table.columns or ()]
    for column in dict.fromkeys(_columns(parse(where))):
        start, table = next((t for t in tables[1:] if column.name.startswith(t[0])), tables[0])
        if table.columns is None:
            table.lacks(column.name.removeprefix(start))  # noted as not checked
        elif not any(head in present for head in _heads(column.name)):
            hint, shown = did_you_mean(column.name, present), some(map(as_written, present), 12)
            message = f"no column {column.name!r}{hint}; there are {shown}"
            yield f"where, at position {column.at}: {message}"


def _columns(node: Node) -> Iterator[ColumnName]:
    if isinstance(node, ColumnName):
        yield node
    for operand in node.operands if isinstance(node, Call) else ():
        yield from _columns(operand)


def _heads(name: str) -> Iterator[str]:
    """Yield the name itself, and the columns that it may reach into: ``meta`` for
    ``meta.source``."""
    parts = name.split(".")
    yield from (".".join(parts[:size]) for size in range(len(parts), 0, -1))
