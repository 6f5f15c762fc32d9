"""Programs of edits: their names, the same in words, and as they are written into a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from rmplug_audit.perturbations.changes import Change, Edit
from rmplug_audit.perturbations.perturbation import Row
from rmplug_audit.perturbations.phrase import Phrase
from rmplug_audit.perturbations.programs import FILE, ProgramStep

LONGEST_RESPONSE = 100_000
"""Characters of a changed response at most: steps that repeat it could grow it without bounds."""

Program: TypeAlias = tuple[Edit, ...]
"""Edits that are made one after the other, each with its dose."""


def step_of(edit: Edit) -> ProgramStep:
    """Return an edit as it is written."""
    params = edit.perturbation.model_dump(mode="json", exclude_defaults=True)
    return ProgramStep(perturbation=edit.perturbation.name, dose=edit.dose or 1, params=params)


def written(program: Program) -> list[dict[str, Any]]:
    """Return a program as it is written."""
    return [step_of(edit).model_dump(mode="json") for edit in program]


def key_of(program: Program) -> str:
    """Return what a program does as one line: programs with the same key are the same."""
    return json.dumps(written(program), ensure_ascii=False)


def tell(program: Program) -> str:
    """Say what a program does, for a person."""
    return "; then ".join(map(_tell_edit, program))


def _tell_edit(edit: Edit) -> str:
    if isinstance(edit.perturbation, Phrase):
        return f"put “{edit.perturbation.text}” at the {edit.perturbation.place}"
    lines = (type(edit.perturbation).__doc__ or "").strip().partition("\n")[0]
    summary = re.split(r"[;.:]", lines)[0]
    dose = f", dose {edit.dose}" if len(edit.perturbation.doses) > 1 else ""
    return f"{edit.perturbation.name}{dose} ({summary[:1].lower()}{summary[1:]})"


def apply_program(program: Program, row: Row, identity: str, seed: int) -> str | None:
    """Change a response as ``perturb`` does; None where a step does not apply, or does more than it
    is meant to."""
    change = Change("", "found", "worsens", (1,), program)
    text = change.apply(row, 1, identity, seed).text
    return text if text is None or len(text) <= LONGEST_RESPONSE else None


def write_exploits(directory: Path, programs: Iterable[tuple[str, Program]]) -> None:
    """Write programs by name, with what they do in words, into ``exploits.json`` of a folder."""
    entries = [
        {"name": name, "words": tell(program), "steps": written(program)}
        for name, program in programs
    ]
    text = json.dumps({"exploits": entries}, indent=1, ensure_ascii=False)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")
