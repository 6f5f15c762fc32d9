"""The rooms of the core in reading order, from the layers contract and the modules' docstrings."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "rmplug"


def layers() -> list[list[str]]:
    """The layers of the core, from the ground up; rooms of one layer do not import each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [contract] = [c for c in contracts["contracts"] if c["type"] == "layers"]
    return [[room.strip() for room in layer.split("|")] for layer in reversed(contract["layers"])]


def summary(file: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def list_rooms() -> str:
    """Every module of the core with its summary, as Markdown, from the ground up."""
    lines = []
    for room in (room for layer in layers() for room in layer):
        folder = CORE / room
        if not folder.is_dir():
            lines.append(f"- `{room}.py`: {summary(CORE / f'{room}.py')}")
            continue
        lines.append(f"- **`{room}/`**: {summary(folder / '__init__.py')}")
        files = sorted(file for file in folder.rglob("*.py") if file.name != "__init__.py")
        lines += [f"  - `{file.relative_to(folder)}`: {summary(file)}" for file in files]
    return "\n".join(lines)


def draw_layers() -> str:
    """The layers as a text block, from the top: each imports only what stands below it."""
    rows = [" · ".join(layer) for layer in reversed(layers())]
    return "\n".join(["```text", *rows, "```"])
