"""The reference of artifacts, and of the records of runs: their columns and fields."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping

import rmplug
from rmplug import artifacts, records
from rmplug._kinds.field_docs import field_docs
from rmplug.artifacts import Artifact, Tabular

from .markdown import docstring, first_sentence, table
from .rooms import CORE

SHOWN = (
    *("Pairs", "Responses", "Features", "Selection", "Metrics", "Fit", "Checkpoint"),
    *("RewardModel", "Report", "Value"),
)


def write_artifacts(gives: Mapping[str, list[str]]) -> str:
    """Write the page of what flows between steps; ``gives`` are the kinds that give each type."""
    lead = (
        "What flows between steps. A step says in its annotations what it takes and gives, "
        "and `rmplug check` compares the two ends of each edge."
    )
    rows = [
        (
            f"[`{name}`](#{name.lower()})",
            docstring(first_sentence(getattr(artifacts, name).__doc__)),
        )
        for name in SHOWN
    ]
    parts = ["# Artifacts", lead, table(("artifact", "what it is"), rows)]
    parts += [_artifact(getattr(artifacts, name), gives.get(name, [])) for name in SHOWN]
    return "\n\n".join(parts) + "\n"


def _artifact(cls: type[Artifact], givers: list[str]) -> str:
    parts = [f"## {cls.__name__}", docstring(cls.__doc__)]
    if issubclass(cls, Tabular):
        parts.append(f"Columns that it always has: {', '.join(f'`{c}`' for c in cls.required)}.")
    if givers:
        parts.append(f"Given by {', '.join(f'`{kind}`' for kind in givers)}.")
    parts.append(f"Methods and types: [`rmplug.{cls.__name__}`](python.md#{cls.__name__.lower()}).")
    assert cls.__name__ in rmplug.__all__
    return "\n\n".join(parts)


def write_records() -> str:
    """Write the page of ``record.json``, from the classes that it is made of."""
    lead = (
        "Each run keeps `runs/<run>/record.json` in the store: what ran, with which versions, what "
        "it cost and what was odd. `rmplug schema record` prints its JSON Schema."
    )
    parts = ["# Records of runs", lead]
    heads = ("field", "type", "meaning")
    types = _annotations()
    for cls in (records.RunRecord, records.StepRecord, records.SeenRows):
        docs = field_docs(cls)
        rows = [
            (f"`{f.name}`", f"`{types[f.name]}`", docstring(docs.get(f.name, "")))
            for f in dataclasses.fields(cls)
            if f.name != "unknown"
        ]
        parts.append(f"## {cls.__name__}\n\n{docstring(cls.__doc__)}\n\n{table(heads, rows)}")
    return "\n\n".join(parts) + "\n"


def _annotations() -> dict[str, str]:
    """Read the annotations of fields as they are written."""
    tree = ast.parse((CORE / "records.py").read_text(encoding="utf-8"))
    fields = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    return {ast.unparse(node.target): ast.unparse(node.annotation) for node in fields}
