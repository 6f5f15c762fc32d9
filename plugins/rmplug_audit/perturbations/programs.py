"""Edit programs: what a search finds, as data. Only perturbations that the reading step knows have
a name here, and nothing in a program is executed.

A file ``exploits.json`` is ``{"exploits": [{"name": "exploit-1", "steps": [{"perturbation":
"bullets", "dose": 2, "params": {}}]}]}``; further entries of an exploit, such as an example, are
left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmplug import DataError
from rmplug.errors import printable

from .changes import MOST_DOSE, Change, Edit, configured, find, joint_intention
from .perturbation import Perturbation

FILE = "exploits.json"


class ProgramStep(BaseModel):
    """One step of an edit program."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    perturbation: Annotated[str, Field(max_length=100)]
    """The name of a perturbation."""
    dose: Annotated[int, Field(ge=1, le=MOST_DOSE, strict=True)] = 1
    """Its dose."""
    params: dict[str, Any] = Field(default_factory=dict, max_length=16)
    """Its parameters."""


class Exploit(BaseModel):
    """A named edit program."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
    """The name in tables: lower case, digits and hyphens."""
    steps: Annotated[tuple[ProgramStep, ...], Field(min_length=1, max_length=8)]
    """The steps, in the order in which they are made."""


class Exploits(BaseModel):
    """The content of ``exploits.json``."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    exploits: Annotated[tuple[Exploit, ...], Field(max_length=1000)]
    """The edit programs, each name once."""


Kinds: TypeAlias = Mapping[str, type[Perturbation]]


def grammar(kinds: Kinds) -> Kinds:
    """Return the perturbations that a program may use, by name: those that need no language
    model."""
    return {name: kind for name, kind in kinds.items() if not kind.asks}


def change_of(name: str, steps: Sequence[ProgramStep], kinds: Kinds) -> Change:
    """Return a program as a change of theme ``found`` with the one dose 1. It worsens a response if
    one of its steps does. Raises ValueError for a name or a parameter that is not there."""
    known = grammar(kinds)
    edits = [Edit(configured(find(s.perturbation, known), s.params), s.dose) for s in steps]
    intention = joint_intention([edit.perturbation.intention for edit in edits])
    return Change(name, "found", intention or "worsens", (1,), edits)


def read_exploits(folder: Path, kinds: Kinds) -> list[Change]:
    """Read the edit programs in a folder, with these perturbations. Raises DataError for a file
    that holds anything else."""
    from rmplug.models.files import read_json

    path = folder / FILE
    try:
        exploits = Exploits.model_validate(read_json(path)).exploits
        changes = [change_of(exploit.name, exploit.steps, kinds) for exploit in exploits]
        if len({change.name for change in changes}) < len(changes):
            raise ValueError("a name is there twice")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} holds no edit programs: {where}: {first['msg']}") from None
    except ValueError as error:
        raise DataError(f"{path} holds no edit programs: {printable(str(error))}") from None
    return changes
