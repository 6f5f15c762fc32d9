"""Flags of subsets on which a baseline is right too often."""

from __future__ import annotations

import numpy as np

from rmplug.stats.interval_texts import interval_text
from rmplug_bench.baselines.names import LEARNT

from ._figure_rows import Row


def flagged_at(accuracy: float, chance: float) -> float:
    """Return the accuracy with the odds ratio to ``chance`` that ``accuracy`` has to one half."""
    odds = accuracy / (1 - accuracy) * chance / (1 - chance) if 0 < chance < 1 else np.inf
    return odds / (1 + odds) if np.isfinite(odds) else np.inf


def flag(rows: list[Row], chance: dict[str, float], accuracy: float) -> None:
    """Flag the subsets on which a baseline is right too often, and its interval above chance.

    The row of the strongest baseline gets a sentence, the rows beside it the baseline's name.
    """
    strongest: dict[str, Row] = {}
    measured = [r for r in rows if r["metric"] == "accuracy" and r["level"] == "subset"]
    for row in measured:
        expected = chance[row["subset"]]
        row["chance"] = expected if np.isfinite(expected) else None
        sure = row["low"] is not None and row["low"] > expected
        if row["kind"] == "baseline" and sure and row["value"] >= flagged_at(accuracy, expected):
            best = strongest.setdefault(row["subset"], row)
            strongest[row["subset"]] = max(best, row, key=lambda r: float(r["value"]))
    for row in strongest.values():
        row["sentence"] = _sentence(row, chance[row["subset"]])
    for row in measured:
        if row["subset"] in strongest:
            row["baseline"] = strongest[row["subset"]]["model"]


def _sentence(row: Row, chance: float) -> str:
    learnt = ", learnt from the labels of other prompts," if row["model"] in LEARNT else ""
    return (
        f"On {row['subset']} the {row['model']} baseline{learnt} has accuracy "
        f"{100 * row['value']:.1f} % (95 % CI {interval_text(row['low'], row['high'], 100)}; "
        f"n = {row['n']:,}), where chance is {100 * chance:.1f} %."
    )
