"""Check specs in texts with the kinds of ``sample_plugin``."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import sample_plugin

from rmplug import SpecError
from rmplug._spec.check import Spec, load_spec
from rmplug._spec.source import parse_source
from rmplug.testing import registry_of

KINDS = registry_of(sample_plugin)

WHOLE: dict[str, Any] = {
    "name": "whole",
    "seed": 3,
    "engine": {"kind": "local", "params": {"workers": 2}},
    "track": {"watch": {"loud": True}},
    "steps": {
        "pairs": {"kind": "some-pairs", "params": {"rows": 4, "names": {"chosen": "yes"}}},
        "model": {"kind": "length-model"},
        "asked": {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}},
        "words": {"kind": "count", "inputs": "pairs", "params": {"weights": {"a": 1}}},
        "fit": {"kind": "line", "inputs": {"features": ["words"], "target": "words.margin"}},
        "loop": {
            "kind": "for-each",
            "params": {
                "values": [{"scale": 1}, {"scale": 2}],
                "collect": ["inner"],
                "steps": {
                    "inner": {"kind": "count", "inputs": {"data": "pairs", "scale": "item.scale"}}
                },
            },
        },
        "rounds": {
            "kind": "repeat",
            "inputs": {"data": "pairs"},
            "params": {
                "rounds": 2,
                "carry": {"data": "mixed"},
                "steps": {"mixed": {"kind": "shuffle", "inputs": "data"}},
            },
        },
        "page": {"kind": "page", "inputs": ["pairs", "asked", "fit", "loop", "rounds.data"]},
    },
}
"""A spec with most of what a spec can hold."""


def load(text: str, *assignments: str, folder: Path = Path("/nowhere")) -> Spec:
    """The checked spec in a text, as if it stood in ``spec.yaml`` in a folder."""
    source = parse_source(dedent(text), "spec.yaml", folder)
    for assignment in assignments:
        source.set(assignment)
    return load_spec(source, KINDS)


def refusal(text: str, *assignments: str, folder: Path = Path("/nowhere")) -> str:
    """Everything that is said of a spec that cannot run."""
    try:
        load(text, *assignments, folder=folder)
    except SpecError as error:
        return str(error)
    raise AssertionError("no problem was found")


def told(text: str, *assignments: str, folder: Path = Path("/nowhere")) -> list[str]:
    """What is wrong with a spec: ``line:column: path: message`` of each problem."""
    try:
        load(text, *assignments, folder=folder)
    except SpecError as error:
        return [f"{p.line}:{p.column}: {p.path}: {p.message}" for p in error.problems]
    return []
