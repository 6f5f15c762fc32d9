"""The reference of Python: public names with their types, read from the source files alone."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import rmplug

from .markdown import docstring, first_sentence, table
from .rooms import CORE, summary

GROUPS = {
    "Runs": ("run", "check", "runs", "open_run", "Run", "RunList"),
    "Models": (
        *("load", "Scorer", "Ranked", "Comparison", "train", "Trained"),
        *("reward_function", "RewardFunction", "reopen", "open_folder"),
    ),
    "Errors": ("RmplugError", "SpecError", "DataError", "StepError", "StoreError", "PluginError"),
    "Artifacts": (
        *("Artifact", "Tabular", "Identified", "Pairs", "Responses", "Features", "Selection"),
        *("Metrics", "Value", "Folder", "Fit", "Predictor", "Checkpoint", "RewardModel"),
        *("Report", "Origin", "join", "text_of"),
    ),
    "Families of kinds": (
        *("DatasetLoader", "ModelLoader", "QueryStrategy", "FeatureComputer", "Estimator"),
        *("Sampler", "Trainer", "Evaluator", "Reporter", "Engine", "Observer"),
    ),
    "For authors of plugins": (
        *("hookimpl", "notice", "Notice", "Known", "Progress", "PlanView", "PlanStep"),
        *("InputPath", "InputPaths", "AwaitedPaths", "Names", "OneOrMore"),
    ),
}
"""The public names of ``rmplug`` in groups; a name that is in none fails the build."""

KITS = ("data", "stats", "models", "testing")
FILES = ("known", "errors", "notices", "records", "packed_work")

WIDTH = 84
"""The most characters of a signature on one line; a longer one has a line for each argument."""

Defined = ast.FunctionDef | ast.ClassDef


def write_names() -> str:
    """Write the page of the names in ``rmplug.__all__``."""
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(rmplug.__all__):
        wrong = {*grouped} ^ {*rmplug.__all__}
        raise SystemExit(f"GROUPS of {__name__}: put in a group, or take out: {sorted(wrong)}")
    parts = ["# Python", "Every public name of `import rmplug`, with its types."]
    for group, names in GROUPS.items():
        parts.append(f"## {group}")
        parts += [_name(name) for name in names]
    return "\n\n".join(parts) + "\n"


def _name(name: str) -> str:
    found = getattr(rmplug, name)
    node = _node(found, name) if inspect.isclass(found) or inspect.isfunction(found) else None
    if node is None:
        return f"### {name}\n\n{_written_below(name)}"
    return "\n\n".join((f"### {name}", *_described(node)))


def _node(found: object, name: str) -> Defined | None:
    file = inspect.getsourcefile(found)  # type: ignore[arg-type]
    if file is None:
        return None
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    return next((n for n in body if isinstance(n, Defined) and n.name == name), None)


def _written_below(name: str) -> str:
    """Return the text below the name's assignment, wherever in the core it is assigned."""
    for file in (CORE / "families.py", CORE / "hookspecs.py"):
        for target, doc in _fields(ast.parse(file.read_text(encoding="utf-8")).body):
            if target.partition(" ")[0] == name and doc:
                return docstring(doc)
    return f"`{name}` marks what a plugin gives to a hook: `@rmplug.{name}` above the function."


def _described(node: Defined) -> Iterator[str]:
    lines = [signature(node), *([made] if (made := constructor(node)) else [])]
    yield "```python\n{}\n```".format("\n".join(lines))
    yield docstring(ast.get_docstring(node))
    if isinstance(node, ast.ClassDef):
        fields = [(f"`{n}`", docstring(d)) for n, d in _fields(node.body) if d]
        if fields:
            yield table(("field", "meaning"), fields)
        for method in _public(node.body):
            if isinstance(method, ast.FunctionDef) and ast.get_docstring(method):
                text = docstring(ast.get_docstring(method))
                yield f"```python\n{signature(method, node.name)}\n```\n\n{text}"


def signature(node: Defined, of: str = "", wrap: bool = True) -> str:
    """Write a definition's line: ``load(source: str) -> Scorer``, ``class Pairs(Identified)``."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    marks = {ast.unparse(each) for each in node.decorator_list}
    if "property" in marks or "cached_property" in marks:
        return f"{of}.{node.name}{gives}"
    name = f"{of}.{node.name}" if of else node.name
    arguments = _arguments(node, drop_first=bool(of) and "staticmethod" not in marks)
    whole = f"{name}({arguments}){gives}"
    if len(whole) <= WIDTH or not wrap:
        return whole
    lines = "".join(f"    {one},\n" for one in _split(arguments))
    return f"{name}(\n{lines}){gives}"


def constructor(node: Defined, wrap: bool = True) -> str:
    """Write how an instance of a class is made, of one that says so: ``Fit(directory: Path, …)``;
    nothing for a function, or a class of pydantic, whose fields are parameters of a spec."""
    if not isinstance(node, ast.ClassDef):
        return ""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return signature(method, node.name, wrap).replace(".__init__", "").split(" -> None")[0]
    marks = {ast.unparse(each).partition("(")[0] for each in node.decorator_list}
    if "dataclass" not in marks and "NamedTuple" not in map(ast.unparse, node.bases):
        return ""
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and _is_given(each)]
    arguments = [re.sub(r" = field\(.*", " = ...", ast.unparse(each)) for each in fields]
    whole = f"{node.name}({', '.join(arguments)})"
    if len(whole) <= WIDTH or not wrap:
        return whole
    return f"{node.name}(\n{''.join(f'    {one},{chr(10)}' for one in arguments)})"


def _is_given(field: ast.AnnAssign) -> bool:
    """Check whether a field is an argument of its class: neither private nor of the class alone."""
    private = ast.unparse(field.target).startswith("_")
    return not private and not ast.unparse(field.annotation).startswith("ClassVar")


def _arguments(node: ast.FunctionDef, drop_first: bool) -> str:
    shown = ast.unparse(node.args)
    first = node.args.posonlyargs[:1] or node.args.args[:1]
    if drop_first and first:
        return shown.removeprefix(ast.unparse(first[0])).removeprefix(", ")
    return shown


def _split(arguments: str) -> Iterator[str]:
    """Yield the arguments one by one: commas inside brackets stand between none."""
    depth, begun = 0, 0
    for position, sign in enumerate(arguments):
        depth += (sign in "[({") - (sign in "])}")
        if sign == "," and depth == 0:
            yield arguments[begun:position].strip()
            begun = position + 1
    yield arguments[begun:].strip()


def _fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield assigned names with their types, and the text below each."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            name = f"{ast.unparse(statement.target)}: {ast.unparse(statement.annotation)}"
        elif isinstance(statement, ast.Assign):
            name = ast.unparse(statement.targets[0])
        else:
            continue
        if not name.startswith("_"):
            text = after.value.value if _is_text(after) else ""  # type: ignore[union-attr]
            yield name, str(text)


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _public(body: list[ast.stmt]) -> Iterator[Defined]:
    for node in body:
        if isinstance(node, Defined) and not node.name.startswith("_"):
            yield node


def write_kits() -> str:
    """Write the tables of the public rooms for authors of plugins, a table for each module."""
    lead = (
        "The public rooms of the core for authors of plugins, module by module. "
        "What begins with an underscore is not public and may change."
    )
    parts = ["# Kits for plugins", lead]
    for kit in KITS:
        parts.append(f"## rmplug.{kit}\n\n{summary(CORE / kit / '__init__.py')}.")
        files = sorted(file for file in (CORE / kit).rglob("*.py") if file.stem[0] != "_")
        parts += [part for file in files if (part := _module(file))]
    parts.append("## Single modules")
    parts += [_module(CORE / f"{name}.py") for name in FILES]
    return "\n\n".join(parts) + "\n"


def _module(file: Path) -> str:
    """Write one module: its summary, and a line for each public type, function and class, with
    what a class is made of and what it can do."""
    dotted = ".".join(file.relative_to(CORE.parent).with_suffix("").parts)
    body = ast.parse(file.read_text(encoding="utf-8")).body
    rows = [*_aliases(body), *(row for node in _public(body) for row in _rows(node))]
    if not rows:
        return ""
    return f"### {dotted}\n\n{docstring(summary(file))}.\n\n{table(('name', 'meaning'), rows)}"


def _rows(node: Defined) -> Iterator[tuple[str, str]]:
    """Yield the lines of a function, or of a class, its fields and its methods."""
    if not ast.get_docstring(node):
        return
    text = docstring(first_sentence(ast.get_docstring(node) or ""))
    made = constructor(node, wrap=False)
    yield f"`{made or signature(node, wrap=False)}`", text
    if not isinstance(node, ast.ClassDef):
        return
    for field, meaning in _fields(node.body):
        if meaning:
            yield f"`{node.name}.{field}`", docstring(first_sentence(meaning))
    for method in _public(node.body):
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method):
            text = docstring(first_sentence(ast.get_docstring(method) or ""))
            yield f"`{signature(method, node.name, wrap=False)}`", text


def _aliases(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield the types that a module names, with what they stand for and the text below each."""
    values = {ast.unparse(n.target): n.value for n in body if isinstance(n, ast.AnnAssign)}
    for named, meaning in _fields(body):
        name, _, annotation = named.partition(": ")
        value = values.get(name)
        if annotation == "TypeAlias" and meaning and value is not None:
            text = value.value if isinstance(value, ast.Constant) else ast.unparse(value)
            yield f"`{name} = {text}`", docstring(meaning)
