"""Definitions of benchmarks as data: a rule, and the weight of each subset in its section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rmplug import DataError
from rmplug.errors import did_you_mean, some

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MOST_BYTES, MOST_VALUES = 1_000_000, 20_000
"""Of a page of YAML, which may be a stranger's."""


class Definition(BaseModel):
    """A benchmark: rule, sections and weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Name of the benchmark in messages."""
    rule: Literal["pairs", "two-games", "best-of-n", "ties", "style-matrix"]
    """Rule that judges one item."""
    sections: dict[str, dict[str, Weight] | tuple[str, ...]] = {}
    """Each section's subsets: with their weights, or as a list in which every item counts the same;
    ``*`` in the name of a subset stands for anything."""
    overall: Literal["pooled"] | dict[str, Weight] = {}
    """Each section's weight in the whole, 1 each unless given; ``pooled``: every item counts."""
    by: str | None = None
    """A column, such as ``language``, over whose values sections and the whole are averaged."""
    published: Literal["lose", "share", "second"] | None = None
    """Published tool's count of an exact tie: it loses, shares (one half, or one of m), or is a
    vote for the response in the second position. A missing score is never right there."""
    also: tuple[Literal["mrr", "pair-accuracy"], ...] = ()
    """Further figures of ``best-of-n``: the mean reciprocal rank of the best right response, and
    the share of right responses above wrong ones of the same prompt."""
    styles: tuple[str, ...] = ("concise", "plain", "markdown")
    """The styles of ``style-matrix``, from plain to fancy."""

    @model_validator(mode="after")
    def _check(self) -> Definition:
        weighted = self.overall if isinstance(self.overall, dict) else {}
        for name in weighted:
            if name not in self.sections:
                hint = did_you_mean(name, self.sections)
                raise ValueError(f"overall: {name!r} is no section{hint}")
        for name, weights in self.sections.items():
            if not weights:
                raise ValueError(f"sections: {name!r} has no subset")
        self._check_names()
        return self

    def _check_names(self) -> None:
        named = [subset for weights in self.sections.values() for subset in weights]
        twice = sorted({subset for subset in named if named.count(subset) > 1})
        if twice:
            raise ValueError(f"sections: the subset {twice[0]!r} is named twice")
        if "all" in (*named, *self.sections):
            raise ValueError("sections: 'all' is the name of the whole; call it something else")
        if self.also and self.rule != "best-of-n":
            raise ValueError(f"also: {self.also[0]!r} belongs to the rule best-of-n")
        if len(set(self.styles)) < max(2, len(self.styles)):
            raise ValueError("styles: at least two different ones are needed")

    def section_of(self, subset: str) -> tuple[str, float | None] | None:
        """Return the section that a subset counts in, and its weight (None: number of items)."""
        for section, weights in self.sections.items():
            for name in weights:
                if subset == name or ("*" in name and fnmatchcase(subset, name)):
                    return section, weights[name] if isinstance(weights, dict) else None
        return None

    def weight_of(self, section: str) -> float:
        """Return a section's weight in the whole."""
        if isinstance(self.overall, str) or not self.overall:
            return 1.0
        return self.overall.get(section, 0.0)


def built_in(name: str) -> Definition:
    """Read one of the benchmarks that come with the package."""
    text = (files(__package__) / "definitions" / f"{name}.yaml").read_text(encoding="utf-8")
    return _validated(yaml.safe_load(text), name)


def read_definition(path: Path) -> Definition:
    """Read a benchmark of the user's own: one page of YAML."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES:,} bytes; a benchmark is one page")
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path} is nested too deeply; a benchmark is one page") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{path.name} is not valid YAML: {problem}") from error
    _check_count(value, path)
    return _validated(value, path.name)


def _check_count(value: Any, path: Path) -> None:
    """Refuse more values than a page has: aliases of aliases would be written out without end."""
    rest, count = [value], 0
    while rest:
        item = rest.pop()
        inner = [*item, *item.values()] if isinstance(item, Mapping) else item
        rest += inner if isinstance(inner, list) else []
        count += 1
        if count + len(rest) > MOST_VALUES:
            raise DataError(
                f"{path} has more than {MOST_VALUES:,} values, with what aliases repeat; a "
                "benchmark is one page"
            )


def _validated(value: Any, where: str) -> Definition:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: a benchmark is a mapping with name, rule and sections")
    try:
        return Definition.model_validate(value)
    except ValidationError as error:
        problems = dict.fromkeys(_sentence(entry) for entry in error.errors(include_url=False))
        raise DataError(f"{where}: {some(problems, 6)}") from error


def _sentence(entry: Any) -> str:
    """Return a problem as a sentence: its key, and the value that is expected there."""
    parts: Sequence[Any] = [p for p in entry["loc"] if not str(p).endswith(("]", "literal"))]
    key = ".".join(str(p) for p in parts if p not in ("dict", "tuple", "str"))
    name = str(entry["loc"][-1]) if entry["loc"] else ""
    if entry["type"] == "extra_forbidden":
        return f"{key}: unknown field{did_you_mean(name, Definition.model_fields)}"
    if entry["type"] == "missing":
        return f"{key}: missing"
    if entry["type"] == "value_error":
        return str(entry["msg"]).removeprefix("Value error, ")
    return f"{key}: {str(entry['msg']).lower()}, not {entry['input']!r:.200}"
