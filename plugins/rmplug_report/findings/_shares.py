"""Findings about what families of features explain, only where it is beyond chance."""

from __future__ import annotations

from collections.abc import Iterator

from rmplug import Fit
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._shares import (
    PARTS,
    families_of,
    parts_of,
    share_rows,
    sparse_rows,
    the_share,
)
from rmplug_report.inputs._wording import (
    decimal,
    interval,
    label,
    listed,
    percent,
    signed,
    strong,
    with_interval,
)

from ._fits import target_of

MOST_FAMILIES = 4
MOST_FEATURES = 5


def share_findings(inputs: Inputs, fit: Fit) -> Iterator[str]:
    """Yield the first sentence of the shares, and of the sparse sum, of one fit."""
    for part in parts_of(fit)[:1]:
        yield from (one for one in (_shares(inputs, fit, part), _sparse(inputs, fit, part)) if one)


def explained_sentences(inputs: Inputs, fit: Fit) -> Iterator[str]:
    """Yield a sentence for each part: its shares, its sparse sum; and the drift."""
    for part in parts_of(fit):
        yield from (one for one in (_shares(inputs, fit, part), _sparse(inputs, fit, part)) if one)
    yield from (str(row["sentence"]) for row in fit.numbers if row.get("sentence"))


def _shares(inputs: Inputs, fit: Fit, part: str) -> str:
    """Describe what all families explain of a part, and which of them add something to the
    others."""
    rows = share_rows(fit, part)
    target, where = target_of(inputs, fit), _where(part)
    whole = the_share(rows, "together")
    if whole is None:
        return ""
    if not whole["beyond_chance"]:
        return f"{where} the features explain nothing of {target} beyond chance ({_r2(whole)})."
    text = f"{where} the features explain {with_interval(whole['value'], *_ends(whole))} of the "
    text += f"variance of {target} on held-out prompts."
    if len(families_of(rows)) > 1:
        text += _unique(rows)
    trees = the_share(rows, "interaction")
    if trees is not None and trees["beyond_chance"]:
        text += f" Interactions and curves add {with_interval(trees['value'], *_ends(trees))}."
    return text


def _unique(rows: list[Row]) -> str:
    """Describe what each family adds to the others; of the rest, what is only there alone."""
    unique = [the_share(rows, "unique", family) for family in families_of(rows)]
    clear = [row for row in unique if row is not None and row["beyond_chance"]]
    if not clear:
        return " No family adds anything to the others beyond chance."
    named = [f"{strong(label(row['family']))} {percent(row['value'])}" for row in clear]
    text = f" To what the others explain, a family adds: {listed(named[:MOST_FAMILIES])}."
    own = {row["family"] for row in clear}
    rest = [label(f) for f in families_of(rows) if f not in own]
    return text + (f" Nothing beyond chance is added by {listed(rest)}." if rest else "")


def _sparse(inputs: Inputs, fit: Fit, part: str) -> str:
    """Describe the stable features and their directions."""
    rows = [row for row in sparse_rows(fit, part) if _is_clear(row)]
    if not rows:
        return ""
    named = [
        f"{strong(label(row['feature']))} ({signed(row['coefficient'], False)} per standard "
        f"deviation, {interval(row['low'], row['high'], 1)}; chosen in {percent(row['chosen'], 0)} "
        "of halves)"
        for row in rows[:MOST_FEATURES]
    ]
    left = len(rows) - len(named)
    more = f" and {left} more" if left > 0 else ""
    return f"{_where(part)} {target_of(inputs, fit)} goes stably with {listed(named)}{more}."


def _is_clear(row: Row) -> bool:
    return row["low"] is not None and (row["low"] > 0 or row["high"] < 0)


def _where(part: str) -> str:
    return "Over all rows" if part == "all" else PARTS[part].capitalize()


def _ends(row: Row) -> tuple[float | None, float | None]:
    return row["low"], row["high"]


def _r2(row: Row) -> str:
    return f"R² {percent(row['value'])}, p = {decimal(row['p'], 3)}"
