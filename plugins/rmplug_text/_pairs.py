"""Preference pairs from rows of files: pairs already, or A and B with a label."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from rmplug import notice
from rmplug.data.raw_texts import MISSING, BadRow, Text, shown, split_pair, text_from
from rmplug.data.row_files import Entry, Row, flatten, identifier, need, number

OPTIONAL = ("id", "group", "margin", "weight", "subset")
NUMBERS = ("margin", "weight")
TEXTS = ("prompt", "chosen", "rejected")

Sides: TypeAlias = tuple[Text, Text, Text]
"""Prompt, first and second response."""


class FieldPaths:
    """The paths of the fields of a row: as the spec names them, else their own names."""

    def __init__(
        self, fields: Mapping[str, str | None], form: str, keep: Sequence[str] = ()
    ) -> None:
        self.named = {name: path for name, path in fields.items() if path}
        self.form = form
        taken = (path for name, path in self.named.items() if name not in keep)
        self.taken = frozenset(taken) | (frozenset(fields) - frozenset(self.named))

    def get(self, row: Row, name: str) -> Any:
        """Return a field's value; ``MISSING`` where neither the spec names it nor a row has it."""
        if name in self.named:
            return need(row.value, self.named[name])
        return row.value.get(name, MISSING)

    def text(self, row: Row, name: str) -> Text:
        """Return a field as text or messages; a row without it is bad."""
        return text_from(need(row.value, self.named.get(name, name)), name, self.form)

    def prompt(self, row: Row) -> Text | None:
        """Return the prompt, where the row has one of its own."""
        value = self.get(row, "prompt")
        return None if value is MISSING else text_from(value, "prompt", self.form)

    def id(self, row: Row) -> str:
        """Return the row's id, or one made of the file's name and the row's number."""
        value = self.get(row, "id")
        return row.default_id if value is MISSING else identifier(value, "id")

    def further(self, row: Row, core: Iterable[str], whole: Iterable[str] = ()) -> dict[str, Any]:
        """Return all values but those taken, flat; one with a core column's name becomes
        ``file.<name>``."""
        flat = flatten(row.value, whole)
        kept = {n: v for n, v in flat.items() if n not in self.taken and not self._inside(n)}
        return {f"file.{name}" if name in core else name: kept[name] for name in kept}

    def _inside(self, name: str) -> bool:
        """Check whether a flat name is a part of a taken mapping, such as ``chosen.content``."""
        head = name.rpartition(".")[0]
        while head:
            if head in self.taken:
                return True
            head = head.rpartition(".")[0]
        return False

    def optional(self, row: Row, names: Iterable[str]) -> dict[str, Any]:
        """Return the optional columns that the row has."""
        columns: dict[str, Any] = {}
        for name in names:
            value = self.get(row, name)
            if value is MISSING:
                continue
            if name == "group":
                value = identifier(value, name)
            elif name in NUMBERS and name in self.named:
                value = number(value, name)
            columns[name] = value
        return columns


class PairRows:
    """A converter of rows of which each is one pair."""

    def __init__(self, fields: Mapping[str, str | None], form: str) -> None:
        self.paths = FieldPaths(fields, form)

    def __call__(self, row: Row) -> Sequence[Entry]:
        paths = self.paths
        chosen, rejected = paths.text(row, "chosen"), paths.text(row, "rejected")
        prompt, chosen, rejected = split_pair(paths.prompt(row), chosen, rejected)
        core = {"id": paths.id(row), "prompt": prompt, "chosen": chosen, "rejected": rejected}
        further = paths.optional(row, OPTIONAL[1:])
        return [(core, further | paths.further(row, (*TEXTS, *OPTIONAL)))]


class ABRows:
    """A converter of comparisons of A and B: one pair of each, of a tie none or two."""

    def __init__(
        self,
        fields: Mapping[str, str | None],
        form: str,
        labels: Mapping[str, Sequence[Any]],
        ties: str,
    ) -> None:
        self.paths = FieldPaths(fields, form, keep=("label",))
        self.labels = {written(value): name for name in labels for value in labels[name]}
        self.ties = ties

    def __call__(self, row: Row) -> Sequence[Entry]:
        paths = self.paths
        first, second = paths.text(row, "response_a"), paths.text(row, "response_b")
        sides = split_pair(paths.prompt(row), first, second)
        label = self._label(row)
        name = paths.id(row)
        further = paths.optional(row, OPTIONAL[1:]) | {"label": label}
        core = (*TEXTS, *OPTIONAL, "label", "position")
        further |= paths.further(row, core)
        if label in ("A", "B"):
            return [self._pair(name, sides, label, further)]
        return self._tie(name, sides, label, further)

    def _tie(self, name: str, sides: Sides, label: str, further: dict[str, Any]) -> Sequence[Entry]:
        if label == "none" or self.ties == "drop":
            notice("tie" if label == "tie" else "no label", [name], "dropped")
            return []
        return [self._pair(f"{name}/{side.lower()}", sides, side, further) for side in ("A", "B")]

    def _pair(self, name: str, sides: Sides, side: str, further: dict[str, Any]) -> Entry:
        prompt, first, second = sides
        chosen, rejected = (first, second) if side == "A" else (second, first)
        core = {"id": name, "prompt": prompt, "chosen": chosen, "rejected": rejected}
        values = {**further, "position": side}
        if self.ties == "half":
            share = 0.5 if further["label"] == "tie" else 1.0
            values["weight"] = share * (number(further.get("weight"), "weight") or 1.0)
        return core, values

    def _label(self, row: Row) -> str:
        value = self.paths.get(row, "label")
        if value is MISSING:
            raise BadRow("no 'label'", missing="label")
        meaning = self.labels.get(written(value))
        if meaning is None:
            raise BadRow(
                "an unknown label",
                f"{shown(value)}; say what it means with labels",
            )
        return meaning


def written(value: Any) -> str:
    """Return a label as text: so that 1 in a spec is ``1`` in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.strip() if isinstance(value, str) else json.dumps(value, default=str)
