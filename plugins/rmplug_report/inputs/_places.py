"""Numbers about the places of a model: what probes find there, and what their directions do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ._inputs import Inputs, Row
from ._row_forms import distinct, is_placed, valued
from ._wording import label

MAIN = ("r2", "accuracy")
"""The number of a probe that is drawn and told: of a target that is a number, and of classes."""
REMOVED = "reward-change-removed"


@dataclass(frozen=True)
class Known:
    """What the probes of one step say of one target: rows by place, in the order of layers."""

    step: str
    target: str
    metric: str
    probe: Sequence[Row]
    shuffled: Sequence[Row]
    majority: Sequence[Row]
    over: Sequence[Row]


def knowledge(inputs: Inputs) -> list[Known]:
    """Return what the probes of each fit say of each target."""
    rows = valued(inputs.numbers, is_placed)
    found = []
    for step in distinct(rows, "step"):
        for target in distinct([row for row in rows if row["step"] == step], "subset"):
            part = [row for row in rows if (row["step"], row["subset"]) == (step, target)]
            metric = next((name for name in MAIN if named(part, name)), None)
            if metric is not None:
                found.append(_known(step, target, metric, part))
    return found


def _known(step: str, target: str, metric: str, rows: Sequence[Row]) -> Known:
    real = [row for row in rows if row.get("kind") != "baseline"]
    chance = [row for row in rows if row.get("kind") == "baseline"]
    return Known(
        step, target, metric, named(real, metric), named(chance, metric),
        named(real, f"{metric}-of-majority"), named(real, f"{metric}-over-shuffled"),
    )  # fmt: skip


def effects(inputs: Inputs) -> list[Row]:
    """Return the rows about what directions do to rewards."""
    return valued(inputs.metrics, is_placed)


def is_chance_for(row: Row, own: Row) -> bool:
    """Check whether a row is of as many random directions as another one takes out."""
    return row.get("kind") == "baseline" and row.get("directions") == own.get("directions")


def named(rows: Iterable[Row], metric: str) -> list[Row]:
    """Return the rows of a metric, in the order of layers where all are known."""
    found = [row for row in rows if row["metric"] == metric]
    if all(row.get("layer") is not None for row in found):
        return sorted(found, key=lambda row: int(row["layer"]))
    return found


def at_place(rows: Iterable[Row], place: object) -> Row | None:
    """Return the row of a place, if there is one."""
    return next((row for row in rows if row["place"] == place), None)


def place_name(row: Row, beside: Sequence[Row]) -> str:
    """Return the name of a row's place: the layer where each row beside it has another one, else
    the name that the fit gave it."""
    layers = [one.get("layer") for one in beside]
    if row.get("layer") is not None and None not in layers and len(set(layers)) == len(layers):
        return str(int(row["layer"]))
    return label(row["place"], 24)


def are_layers(rows: Sequence[Row]) -> bool:
    """Check whether the places of these rows go by the numbers of layers."""
    return all(place_name(row, rows).isdigit() for row in rows)
