"""The list of notices: what a step may say about odd rows, found where the code says it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .markdown import code, table
from .rooms import CORE, ROOT, summary

Found = tuple[str, str, str]


def write_notices() -> str:
    """Write the page: each notice with what happens to the rows, by package."""
    lead = (
        "A row is never lost without a word. What is odd is counted, named by id, and shown by "
        "`rmplug show`, in the report and in the record. These are the notices that the built-in "
        "steps can give; `…` stands for a name or a number. `kept`: the row stays as it is; "
        "`changed`: it stays, changed; `dropped`: it takes no further part. The faults of a row "
        "that every loader looks for, and what to do about each, are the parameters `odd_rows` of "
        "[dataset loaders](kinds/dataset-loader.md)."
    )
    parts = ["# Notices", lead]
    for package in (CORE, *sorted((ROOT / "plugins").iterdir())):
        rows = sorted({*_package(package)}) if package.is_dir() else []
        if rows:
            title = f"## {package.name}\n\n{summary(package / '__init__.py')}."
            parts.append(f"{title}\n\n{table(('notice', 'the rows are', 'where'), rows)}")
    return "\n\n".join(parts) + "\n"


def _package(package: Path) -> Iterator[Found]:
    trees = {
        file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(package.rglob("*.py"))
    }
    constants = {
        ast.unparse(node.targets[0]): node.value
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    for file, tree in trees.items():
        where = file.relative_to(package).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "notice" and node.args:
                text = _text(node.args[0], constants)
                if text:
                    yield code(text), _action(node), f"`{where}`"


def _text(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Return a notice's text, with what is filled in as ``…``; empty if another function says."""
    if isinstance(node, ast.Name) and node.id in constants:
        node = constants[node.id]
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
    return ""


def _action(node: ast.Call) -> str:
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    action = named.get("action") or (node.args[2] if len(node.args) > 2 else None)
    if action is None:
        return "kept"
    return str(action.value) if isinstance(action, ast.Constant) else "as the step is asked to"
