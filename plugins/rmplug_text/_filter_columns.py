"""The columns that a sampler names, and those that are certainly absent."""

from __future__ import annotations

from collections.abc import Iterator

from rmplug import Known

from ._expression_syntax import Call, ColumnName, Node, parse, reached_columns, unknown_column


def unknown_columns(where: str, data: Known, *features: Known) -> Iterator[str]:
    """Yield a message for each column that neither the data nor the features have; those of
    features are ``<step>.<column>``."""
    tables = [("", data), *((f"{table.step}.", table) for table in features)]
    present = [f"{start}{name}" for start, table in tables for name in table.columns or ()]
    for column in dict.fromkeys(_columns(parse(where))):
        start, table = next((t for t in tables[1:] if column.name.startswith(t[0])), tables[0])
        if table.columns is None:
            table.lacks(column.name.removeprefix(start))  # noted as not checked
        elif not any(name in present for name, _ in reached_columns(column.name)):
            yield str(unknown_column(column, present))


def lacking_column(name: str, data: Known, *features: Known) -> str | None:
    """Explain that neither the data nor the features (``<step>.<column>``) have a column; None
    where they may."""
    for table in features:
        if name.startswith(f"{table.step}."):
            return table.lacks(name.removeprefix(f"{table.step}."))
    return data.lacks(name)


def _columns(node: Node) -> Iterator[ColumnName]:
    if isinstance(node, ColumnName):
        yield node
    for operand in node.operands if isinstance(node, Call) else ():
        yield from _columns(operand)
