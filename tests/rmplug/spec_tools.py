"""What tests of specs share: the kinds of the small plugin, and checking a text."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import plugin_for_tests

from rmplug import SpecError
from rmplug._spec.check import Spec, load_spec
from rmplug._spec.source import parse_source
from rmplug.testing import registry_of

KINDS = registry_of(plugin_for_tests)


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
