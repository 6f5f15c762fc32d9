"""Variants that data have, as a counterfactual table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from rmplug import DataError, Responses, notice
from rmplug.data.choices import choice_of_each
from rmplug.errors import some

from .counterfactual_columns import COLUMNS, refusal

if TYPE_CHECKING:
    from .variants import Variants


class Role(NamedTuple):
    """The change that a row is a copy by, and its dose; 0 and no name for an original."""

    perturbation: str
    dose: int


ORIGINAL = Role("", 0)


def variants_of(step: Variants, data: Responses) -> pa.Table:
    """Return originals, each followed by its variants, in the order of the originals."""
    _check_columns(step, data)
    roles = [role_of(step, cells) for cells in data.table.select(step.columns).to_pylist()]
    names = data["id"].to_pylist()
    unused = [name for name, role in zip(names, roles, strict=True) if role is None]
    notice("neither an original nor one of the variants", unused, "dropped")
    rows, copied = _in_families(step, data, roles, names)
    kept = [roles[row] or ORIGINAL for row in rows]
    copies = [role.dose > 0 for role in kept]
    theme = step.theme or step.by or "substance"
    facts: dict[str, Sequence[Any]] = {
        "original": [names[row] for row in copied],
        "perturbation": [role.perturbation for role in kept],
        "theme": [theme if copy else "" for copy in copies],
        "dose": [role.dose for role in kept],
        "intention": [step.intention if copy else "" for copy in copies],
    }
    table = data.table.take(pa.array(rows, pa.int64()))
    for name, values in facts.items():
        kind = pa.int64() if COLUMNS[name] == "number" else pa.string()
        table = table.append_column(name, pa.array(values, kind))
    return table


def _check_columns(step: Variants, data: Responses) -> None:
    name = data.name or "the data"
    for column in COLUMNS:
        if column in data.columns:
            raise DataError(refusal(name, column))
    for column in step.columns:
        if column not in data.columns:
            raise DataError(f"{name} has no column {column!r}; there are {some(data.columns, 20)}")


def role_of(step: Variants, cells: Mapping[str, Any]) -> Role | None:
    """Return what a row is by its values; None where it is neither original nor variant."""
    if isinstance(step.base, Mapping):
        if _match(cells, step.base):
            return ORIGINAL
        named = (step.variants or {}).items()
        return next((Role(name, 1) for name, wanted in named if _match(cells, wanted)), None)
    value = cells[step.columns[0]]
    if _same(value, step.base):
        return ORIGINAL
    if value is None or value != value or not str(value).strip():
        return None  # NaN is no name either
    if not step.order:
        return Role(str(value), 1)
    doses = enumerate(step.order, 1)
    return next((Role(step.columns[0], dose) for dose, each in doses if _same(value, each)), None)


def _match(cells: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_same(cells[name], value) for name, value in wanted.items())


def _same(value: Any, wanted: Any) -> bool:
    """Compare a value of the data with one of a spec; 1 and 1.0 are the same, as are 1 and true."""
    return bool(value == wanted) or (value is not None and str(value) == str(wanted))


def _in_families(
    step: Variants, data: Responses, roles: Sequence[Role | None], names: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Return the rows of each original and its variants, and the original of each of them."""
    families: dict[tuple[Any, ...], dict[Role, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (key, role) in enumerate(zip(_keys(step, data), roles, strict=True)):
        if role is not None:
            families[key][role].append(row)
    rows, copied, alone, single = [], [], [], []
    for members in families.values():
        originals = members.pop(ORIGINAL, [])
        if len(originals) > 1:
            raise DataError(
                f"{names[originals[0]]} and {names[originals[1]]} are both originals of one "
                f"family; name columns that tell them apart in within (now {some(step.within)})"
            )
        copies = [row for role in sorted(members) for row in members[role]]
        if not originals:
            alone += [names[row] for row in copies]
            continue
        single += [] if copies else [names[originals[0]]]
        rows += [*originals, *copies]
        copied += originals * (1 + len(copies))
    notice("variant without its original", alone, "dropped")
    notice("original without a variant", single)
    return rows, copied


def _keys(step: Variants, data: Responses) -> list[tuple[Any, ...]]:
    """Return what an original and its variants share, for each row."""
    shared = [name for name in step.within if name in data.columns and name not in step.columns]
    columns = [choice_of_each(data.table).tolist(), *(data[name].to_pylist() for name in shared)]
    return list(zip(*columns, strict=True))
