"""Effects measured on simulated tables, and their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from simulated_tables import pairs_of, reward_of, scores_of, table_of

from rmplug import Responses
from rmplug_audit.measuring.effects import Effects

Rows = list[dict[str, Any]]
BULLETS = ("bullets", 1, "keeps")


def measured(table: Responses, *scores: np.ndarray, **params: Any) -> Rows:
    rewards = [reward_of(table, one, f"model-{n}") for n, one in enumerate(scores)]
    return Effects(**params).evaluate(table, rewards, seed=1).table.to_pylist()


def rows_of(rows: Rows, metric: str, **names: Any) -> Rows:
    names = {"subset": "all", **names}
    return [r for r in rows if r["metric"] == metric and names.items() <= r.items()]


def row_of(rows: Rows, metric: str, **names: Any) -> dict[str, Any]:
    (row,) = rows_of(rows, metric, **names)
    return row


def numbers(*values: float | None) -> list[float]:
    return [np.nan if value is None else value for value in values]


def simulated(prompts: int, planted: list[float], seed: list[int]) -> Rows:
    rng = np.random.default_rng(seed)
    changes = [(f"change-{k}", 1, "keeps") for k in range(len(planted))]
    # without labels, so that only effects are measured
    table = table_of(pairs_of(prompts), changes, label=[None] * 2 * prompts)
    together = 0.4 * np.repeat(rng.standard_t(5, size=(prompts, len(planted))), 2, axis=0)
    added = planted + together + 0.4 * rng.standard_t(5, size=(2 * prompts, len(planted)))
    # rewards with heavy tails and a deviation of 1
    scores = scores_of(rng.standard_t(5, size=2 * prompts) / np.sqrt(5 / 3), added)
    return measured(table, scores)
