"""The conversion of an old experiment file: the text of the spec, and what became of each line."""

from __future__ import annotations

import re
from pathlib import Path

from rmplug._cli.spec_text import as_yaml
from rmplug.errors import Problem, SpecError, printable

from .analysing import convert_analysis
from .asking import convert_query
from .converting import SECTIONS, Draft, convert_data, convert_model
from .reading import Told, read_old

HEAD = """\
# {name}: converted from {file}; rmplug check says what is missing before it runs.
# yaml-language-server: $schema={schema}
"""
TAIL = """
# To log it to Weights & Biases, offline unless it says otherwise:
# track: {wandb: {project: my-project, mode: offline}}
"""


def convert(path: Path, folder: Path, schema: str) -> tuple[str, list[Told]]:
    """Convert an old experiment file to the text of a spec in a folder. Return it with what became
    of each line of the old file, in its order. Raises SpecError for a file that is no such
    experiment."""
    old = read_old(path)
    if not any(section in old.data for section in SECTIONS):
        message = f"no experiment of the original: it has none of {', '.join(SECTIONS)}"
        raise SpecError([Problem(message, file=str(path))])
    draft = Draft(old, folder)
    for part in (convert_model, convert_data, convert_query, convert_analysis):
        part(draft)
    old.leave_the_rest()
    if not draft.steps:
        message = "nothing of it can be carried over: it names neither a model nor data"
        raise SpecError([Problem(message, file=str(path))])
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", str(old.section("analyze").get("id") or path.stem))
    name = name.strip("-") or "experiment"
    spec = {"name": name, "seed": 0, "steps": draft.steps}
    head = HEAD.format(name=name, file=" ".join(printable(path.name).split()), schema=schema)
    told = sorted(old.told, key=lambda one: one.line)
    return head + as_yaml(spec, draft.comments) + TAIL, told
