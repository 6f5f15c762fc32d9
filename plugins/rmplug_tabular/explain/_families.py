"""Families of features: which numbers of the matrix are explained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from rmplug import DataError
from rmplug.errors import some
from rmplug_tabular._feature_matrix import Column, Examples


@dataclass(frozen=True)
class Family:
    """A name, and the positions of its numbers in the matrix, ascending."""

    name: str
    numbers: np.ndarray


def families_of(examples: Examples, named: Mapping[str, Sequence[str]]) -> tuple[Family, ...]:
    """Return the families: those that are named by patterns, then each vector, then what is left
    of each step, in the order of the columns; DataError where a pattern fits nothing, or two of
    them the same feature."""
    owner = _named_owners([column.name for column in examples.columns], named)
    vectors = [column for column in examples.columns if column.vector]
    members: dict[str, list[int]] = {name: [] for name in named}
    for column, block in examples.blocks():
        name = owner.get(column.name) or _default(column, vectors, named)
        members.setdefault(name, []).extend(range(block.start, block.stop))
    return tuple(Family(name, np.array(numbers)) for name, numbers in members.items())


def _default(column: Column, vectors: Sequence[Column], named: Mapping[str, Sequence[str]]) -> str:
    """Return the family of a feature that no pattern names: its own for a vector, else its step."""
    step = column.name.partition(".")[0]
    if not column.vector:
        return f"rest of {step}" if _touches(step, named) else step
    alone = sum(other.name.partition(".")[0] == step for other in vectors) == 1
    return f"{step} vector" if alone else column.name


def _touches(step: str, named: Mapping[str, Sequence[str]]) -> bool:
    """Check whether a family has the step's name, or a pattern takes some of its features."""
    patterns = [pattern for patterns in named.values() for pattern in patterns]
    return step in named or any(fnmatchcase(step, one.partition(".")[0]) for one in patterns)


def _named_owners(names: Sequence[str], named: Mapping[str, Sequence[str]]) -> dict[str, str]:
    owner: dict[str, str] = {}
    for family, patterns in named.items():
        for pattern in patterns:
            fitting = [name for name in names if fnmatchcase(name, pattern)]
            if not fitting:
                raise DataError(
                    f"family {family}: no feature matches {pattern!r}; there are {some(names, 12)}"
                )
            for name in fitting:
                if owner.setdefault(name, family) != family:
                    raise DataError(
                        f"{name} is in the families {owner[name]} and {family}; a feature belongs "
                        "to one"
                    )
    return owner
