"""The tables of a fit that say what explains a reward: shares, sparse sum, surprises."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug import Fit

from ._inputs import Row

PARTS = {"within": "within prompts", "between": "between prompts", "all": "all rows as they are"}
"""Parts of a target, the most telling first, in words."""


def has_shares(fit: Fit) -> bool:
    return {"shares", "rows"} <= set(fit.tables)


def share_rows(fit: Fit, part: str) -> list[Row]:
    """Return the shares of one part that have a value."""
    rows: list[Row] = fit.tables["shares"].to_pylist()
    return [row for row in rows if row["part"] == part and row["value"] is not None]


def parts_of(fit: Fit) -> list[str]:
    """Return the parts that have shares."""
    return [part for part in PARTS if share_rows(fit, part)]


def the_share(rows: Sequence[Row], share: str, family: str = "") -> Row | None:
    found = [row for row in rows if row["share"] == share and row["family"] == family]
    return found[0] if found else None


def families_of(rows: Sequence[Row]) -> list[str]:
    """Return the families of one part, the one with the greatest unique share first."""
    alone = [row for row in rows if row["share"] == "alone"]
    return [str(row["family"]) for row in sorted(alone, key=lambda row: -_unique(rows, row))]


def _unique(rows: Sequence[Row], alone: Row) -> float:
    own = the_share(rows, "unique", str(alone["family"])) or alone
    return float(own["value"])


def sparse_rows(fit: Fit, part: str, stable: bool = True) -> list[Row]:
    """Return the features of the sparse sum of one part: the stable ones, or all that were ever
    chosen."""
    if "sparse" not in fit.tables:
        return []
    rows: list[Row] = [row for row in fit.tables["sparse"].to_pylist() if row["part"] == part]
    return [row for row in rows if (row["stable"] if stable else row["chosen"] > 0)]
