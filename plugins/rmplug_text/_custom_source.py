"""The source of a user's model, read and not run: its classes, its outputs, what it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmplug.errors import did_you_mean, some

OWN_BASES = ("object", "RewardModel", "rmplug.RewardModel", "ABC")


@dataclass(frozen=True)
class Source:
    """A parsed file."""

    tree: ast.Module

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {each.name: each for each in self.tree.body if isinstance(each, ast.ClassDef)}

    def may_define(self, name: str) -> bool:
        """Check whether a name is bound in the file, or may be by what only running tells."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.alias) and name in (node.name, node.asname):
                return True
            if isinstance(node, ast.alias) and node.name == "*":
                return True
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                return True
        return name in self.classes

    def lacks_score(self, name: str) -> bool:
        """Check whether a class is known to have no method ``score``: none of its own, and no base
        that may have one."""
        found = self.classes.get(name)
        return found is not None and _is_alone(found) and "score" not in _bound_in(found)

    def outputs_of(self, name: str) -> tuple[str, ...] | None:
        """Return the outputs of a class, as far as they are written in it; None where only running
        tells, or where it compares."""
        found = self.classes.get(name)
        if found is None or not _is_alone(found) or "compare" in _bound_in(found):
            return None
        written = [
            node.value
            for node in found.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and "outputs" in _targets(node)
        ]
        for node in ast.walk(found):
            if "outputs" in (getattr(node, "attr", None), getattr(node, "value", None)):
                return None  # a method sets it
        return _literal(written[0]) if written else ("reward",)


def _is_alone(found: ast.ClassDef) -> bool:
    """Check whether a class is determined by what is written in it."""
    bases = [ast.unparse(base) for base in found.bases]
    return not found.keywords and not found.decorator_list and set(bases) <= set(OWN_BASES)


def _bound_in(found: ast.ClassDef) -> set[str]:
    names = {getattr(node, "name", "") for node in found.body}
    return names.union(*(_targets(node) for node in found.body))


def _targets(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _literal(value: ast.expr | None) -> tuple[str, ...] | None:
    try:
        names = tuple(ast.literal_eval(value)) if value is not None else ()
    except (ValueError, TypeError):
        return None
    return names if names and all(isinstance(name, str) for name in names) else None


def read_source(file: Path) -> Source | None:
    """Parse a file; None where it cannot be read as Python."""
    try:
        return Source(ast.parse(file.read_bytes(), str(file)))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def source_mistakes(file: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the faults of a file that need no running: no Python, no such class, no ``score``."""
    if not file.is_file():
        yield "file", f"{file} is a folder; give the Python file with the class"
        return
    source = read_source(file)
    if source is None:
        yield "file", syntax_sentence(file)
    elif not source.may_define(name):
        classes = list(source.classes)
        there = f"it has {some(classes)}" if classes else "it has none"
        yield (
            "class",
            f"{file.name} has no class {name!r}{did_you_mean(name, classes)} ({there})",
        )
    elif source.lacks_score(name):
        yield "class", no_score(name, file)


def no_score(name: str, file: Path) -> str:
    """Return the message for a class without the method that is asked."""
    return (
        f"{name} in {file.name} has no method score; write def score(self, prompts, responses), "
        "which returns a number for each response"
    )


def syntax_sentence(file: Path) -> str:
    """Return the message for a file that is no Python, with the line."""
    try:
        ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        return f"{file.name}:{error.lineno or 1} is no Python: {error.msg}; correct that line"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"{file.name} cannot be read as Python ({type(error).__name__}: {error!s:.100})"
    return f"{file.name} has changed while it was read; run again"


def digests_of_imports(file: Path) -> dict[str, str]:
    """Return the SHA-256 of each file beside ``file`` that it imports, or that one of these does,
    by its name."""
    folder = file.parent
    found: dict[Path, str] = {}
    waiting = list(_imported(file, folder))
    while waiting:
        path = waiting.pop()
        if path in found or path == file:
            continue
        found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        waiting += _imported(path, folder)
    return {path.relative_to(folder).as_posix(): found[path] for path in sorted(found)}


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    """Yield the files of the folder that a file's import statements can mean; of a package, all."""
    source = read_source(file)
    for node in ast.walk(source.tree) if source is not None else ():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for top in dict.fromkeys(name.partition(".")[0] for name in names):
            if (folder / f"{top}.py").is_file():
                yield folder / f"{top}.py"
            elif (folder / top / "__init__.py").is_file():
                yield from (folder / top).rglob("*.py")
