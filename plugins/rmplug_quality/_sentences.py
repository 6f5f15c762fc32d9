"""Findings of an audit in plain sentences."""

from __future__ import annotations

from typing import Any

from rmplug.stats.interval_texts import interval_text

from ._wrong_labels import is_told
from .personal_data import ALL

Row = dict[str, Any]

FOUND = {
    "copy": "repeat an earlier one word for word",
    "conflicts": "have the same texts as another one, with another label",
    "identical": "have two responses that are the same",
    "near.copy": "are nearly the same as an earlier one",
    "leaked": "have a text that the reference data have too",
    "disagrees": "have a label that the pairs of other prompts speak against",
    "personal": "hold personal data",
    "secrets": "hold keys or passwords",
}
ENOUGH_SIGNIFICANCE = 0.05


def sentence_of(row: Row, step: str, column: str, noun: str) -> str:
    """Return the sentence of a finding over all rows; an empty one where nothing was found, or
    where the difference may be chance."""
    if row["value"] is None or row["subset"] != "all":
        return ""
    if row["metric"] == "found":
        # the kinds of personal data are told together, and stand apart in the figure
        of_a_kind = column.partition(".")[2] in ALL
        return _found(row, step, column, noun) if row["count"] and not of_a_kind else ""
    if row["metric"] == "wrong-labels":
        if row["low"] is None:
            return ""
        if not is_told(row["low"], row["high"]):
            return (
                f"How many labels are wrong cannot be told ({_bounds(row)[2:]}): the pairs of "
                f"other prompts say too little about which response is chosen ({step})."
            )
        return (
            f"About {_percent(row['value'])} of the labels are wrong"
            f"{_interval(row)}, judged by the pairs of other prompts ({step})."
        )
    if row["p_holm"] is None or row["p_holm"] >= ENOUGH_SIGNIFICANCE:
        return ""
    measure = column.removeprefix("difference.").replace("_", " ")
    bounds = _bounds(row).removeprefix("; ")
    return (
        f"Of the {row['n']:,} {noun} that differ in {measure}, the chosen response has more in "
        f"{_percent(row['value'])} ({bounds}); 50\N{NO-BREAK SPACE}% would be chance."
    )


def _found(row: Row, step: str, column: str, noun: str) -> str:
    words = FOUND.get(column)
    share = f"{row['count']:,} of {row['n']:,} {noun} ({_percent(row['value'])}{_bounds(row)})"
    return f"{share} {words}." if words else f"{share} have {column} of {step}."


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _bounds(row: Row) -> str:
    """Return the interval inside brackets that are open."""
    if row["low"] is None:
        return ""
    return f"; 95 % CI {interval_text(row['low'], row['high'], 100)}"


def _interval(row: Row) -> str:
    return f" ({_bounds(row)[2:]})" if row["low"] is not None else ""
