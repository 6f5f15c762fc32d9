"""Ids of the rows in these tests, and reading a fit's numbers and tables."""

from __future__ import annotations

ROWS = 300


def keys() -> dict[str, list[str]]:
    """Two rows per prompt."""
    return {
        "id": [f"row-{i}" for i in range(ROWS)],
        "group": [f"prompt-{i // 2}" for i in range(ROWS)],
    }


def values(fit) -> dict[str, float]:
    return {number["metric"]: number["value"] for number in fit.numbers}


def column(table, name: str, feature: str, value: str) -> float:
    return dict(zip(table[name].to_pylist(), table[value].to_pylist(), strict=True))[feature]
