"""The parameters of a kind: its files located, its fields validated, problems in plain words."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from rmplug._kinds.field_docs import classes_in
from rmplug._store.user_paths import not_expanded
from rmplug.errors import RmplugError, did_you_mean, near_names, shown
from rmplug.families import Step, awaits_files, reads_files, written_name

from .location import Location, suggestion


def absolute_files(cls: type[Step], params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of input files among parameters absolute, starting from a folder."""
    return {
        name: _absolute(value, folder) if _is_file(cls, name) else value
        for name, value in params.items()
    }


def find_files(cls: type[Step], location: Location, params: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths of input files among parameters absolute; note each that is not there."""
    return {
        name: _located(cls, name, value, location.at(name)) if _is_file(cls, name) else value
        for name, value in params.items()
    }


def _is_file(cls: type[Step], name: str) -> bool:
    return name in cls.model_fields and reads_files(cls.model_fields[name])


def _located(cls: type[Step], name: str, value: Any, location: Location) -> Any:
    """Make paths absolute, and note those that are not there, unless they are awaited."""
    if awaits_files(cls.model_fields[name]):
        return _absolute(value, location.folder)
    return _find(value, location)


def _find(value: Any, location: Location) -> Any:
    paths = _absolute(value, location.folder)
    for path in paths if isinstance(paths, list) else [paths]:
        if isinstance(path, str) and not _exists(Path(path)):
            hint = not_expanded(path) or near_names(Path(path))
            location.wrong(f"no such file or folder: {path}{hint}")
    return paths


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        paths = _matches(value, folder)
        return paths[0] if len(paths) == 1 else paths
    if isinstance(value, list):
        lists = [_absolute(inner, folder) for inner in value]
        return [path for inner in lists for path in (inner if isinstance(inner, list) else [inner])]
    return value


def _matches(written: str, folder: Path) -> list[str]:
    """Find the file of this name, or those that a pattern such as ``data/*.jsonl`` matches."""
    start = folder.absolute()
    name = os.path.expanduser(written)  # noqa: PTH111 - unlike Path's, leaves ~nobody as it is
    path = str(start / name)
    if "\0" in name or not glob.has_magic(name) or _exists(Path(path)):
        return [path]
    matches = glob.iglob(name, root_dir=start)  # noqa: PTH207 - of Path.glob, ** can take hours
    return sorted(str(start / match) for match in matches) or [path]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be read
        return False


def configured(
    cls: type[Step],
    location: Location,
    params: Mapping[str, Any],
    elsewhere: Mapping[str, Location] | None = None,
) -> Step | None:
    """Return the step with these parameters, or None after noting the problems of the parameters.

    ``elsewhere`` says where parameters were written that do not stand at ``location``.
    """
    try:
        return cls.model_validate(params)
    except ValidationError as error:
        _explain(cls, location, error.errors(include_url=False), elsewhere or {})
    except RmplugError as error:
        location.wrong(str(error))
    return None


def check_values(
    cls: type[Step],
    location: Location,
    params: Mapping[str, Any],
    values: Mapping[str, Sequence[Any]],
    elsewhere: Mapping[str, Location],
) -> dict[str, Step]:
    """Check that the values of parameters that a loop sets fit the step, each of them; return the
    steps with distinct values, by these in words."""
    steps: dict[str, Step] = {}
    for row in zip(*values.values(), strict=True):
        taken = dict(zip(values, row, strict=True))
        for name in taken:
            if _is_file(cls, name):
                taken[name] = _located(cls, name, taken[name], elsewhere[name])
        step = configured(cls, location, {**params, **taken}, elsewhere)
        if step is not None:
            words = ", ".join(f"{n}: {v!r}" for n, v in zip(values, row, strict=True))
            steps[words] = step
    return steps


def _explain(
    cls: type[Step], location: Location, entries: list[Any], elsewhere: Mapping[str, Location]
) -> None:
    """Note each error where its value was written; the branches of a union become one."""
    by_path: dict[tuple[str | int, ...], tuple[Location, list[Any]]] = {}
    for entry in entries:
        first = entry["loc"][0] if entry["loc"] else ""
        at = elsewhere.get(str(first)) or _written_at(location, entry)
        by_path.setdefault(at.path, (at, []))[1].append(entry)
    # unknown fields first: one that is missing may be written under a misspelt name
    unknown_first = sorted(
        by_path.values(), key=lambda each: each[1][0]["type"] != "extra_forbidden"
    )
    for at, entries in unknown_first:
        if not any(other[: len(at.path)] == at.path != other for other in by_path):
            _note(cls, at, entries)


def _written_at(location: Location, entry: Any) -> Location:
    """Find where the value of an error was written, passing over names of a union's branches."""
    for part in entry["loc"]:
        if location.at(part).is_written or (
            entry["type"] == "missing" and part == entry["loc"][-1]
        ):
            location = location.at(part)
    return location


def _note(cls: type[Step], location: Location, entries: list[Any]) -> None:
    entry = entries[0]
    name = str(entry["loc"][-1]) if entry["loc"] else ""
    if entry["type"] == "extra_forbidden":
        fields = _fields(cls, entry["loc"][:-1])
        renamed = cls.renamed.get(name) if len(entry["loc"]) == 1 else None
        hint = f"; write {renamed}" if renamed else suggestion(name, fields) if fields else ""
        location.unknown(f"unknown field{hint}", fields)
    elif entry["type"] == "missing":
        location.missing("missing; this field is required")
    else:
        location.wrong(_sentence(entries))


def _fields(cls: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """List the fields of a kind, or of a mapping inside its parameters."""
    for part in loc:
        if isinstance(part, int):  # an entry of a list
            continue
        info = cls.model_fields.get(part)
        inner = [] if info is None else list(classes_in(info.annotation))
        if len(inner) != 1 or not issubclass(inner[0], BaseModel):
            return []
        cls = inner[0]
    return [written_name(name, info) for name, info in cls.model_fields.items()]


def _sentence(entries: list[Any]) -> str:
    """Say what a value must be, and what it is instead."""
    wanted = list(dict.fromkeys(filter(None, map(_wanted, entries))))
    entry = entries[0]
    if not wanted:
        return _own_words(entry)
    hint = ""
    if entry["type"] == "literal_error" and isinstance(entry["input"], str):
        hint = did_you_mean(entry["input"], _quoted(entry["ctx"]["expected"]))
    return f"must be {' or '.join(wanted)}, not {shown(entry['input'])}{hint}"


def _quoted(expected: str) -> Iterator[str]:
    return (part for part in expected.split("'")[1::2])


def _own_words(entry: Any) -> str:
    """Take over the words of a validator or of pydantic."""
    message = str(entry["msg"])
    for prefix in ("Value error, ", "Assertion failed, "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    got = f" (got {shown(entry['input'])})" if isinstance(entry["input"], str | int | float) else ""
    return message[:1].lower() + message[1:] + got


def _wanted(entry: Any) -> str:
    noun = next((noun for noun, types in _NOUNS.items() if entry["type"] in types), "")
    return (noun or _BOUNDS.get(entry["type"], "")).format_map(entry.get("ctx", {}))


_NOUNS = {
    "a whole number": ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
    "a number": ("float_type", "float_parsing"),
    "a finite number": ("finite_number",),
    "text": ("string_type",),
    "a path": ("path_type",),
    "true or false": ("bool_type", "bool_parsing"),
    "null": ("none_required",),
    "a list": ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"),
    "a mapping": ("dict_type", "mapping_type", "model_type", "model_attributes_type"),
}
_BOUNDS = {
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
}
