"""Counterfactual tables whose rewards are simulated, with effects that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rmplug import Features, Responses

Floats = npt.NDArray[np.float64]
Changed = tuple[str, int, str]
"""A perturbation, its dose and its intention."""


def table_of(
    group: Sequence[int],
    changes: Sequence[Changed],
    themes: Mapping[str, str] | None = None,
    **columns: Sequence[Any],
) -> Responses:
    """Return responses of these prompts, alternately good and bad, each followed by a copy by every
    change; ``columns`` have a value for each original."""
    rows: dict[str, list[Any]] = {name: [] for name in (
        "id", "prompt", "response", "original", "perturbation", "theme", "dose", "intention",
        "label", *columns)}  # fmt: skip
    own = {"label": [1 - index % 2 for index in range(len(group))], **columns}
    for index, prompt in enumerate(group):
        for name, dose, intention in [("", 0, ""), *changes]:
            identity = f"r{index}"
            copy = f"{identity}~{name}~{dose}" if name else identity
            text = "a word" + f" and {name or 'nothing'}" * max(dose, 1)
            theme = (themes or {}).get(name, name)
            values = (copy, f"question {prompt}", text, identity, name, theme, dose, intention)
            values += tuple(own[column][index] for column in own)
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    return Responses(rows, "table")


def reward_of(table: Responses, scores: Floats, name: str = "model") -> Features:
    """Return scores in the order of the rows as a reward."""
    return Features({"id": table["id"], "reward": np.asarray(scores, dtype=np.float64)}, name)


def scores_of(original: Floats, differences: Floats) -> Floats:
    """Return the scores of the rows of ``table_of``: of originals (n,), with what each change adds,
    shape (n, changes)."""
    whole = np.concatenate([np.zeros((len(original), 1)), differences], axis=1)
    return np.asarray((original[:, None] + whole).ravel())


def pairs_of(prompts: int) -> list[int]:
    """Return the prompts of as many pairs."""
    return [index // 2 for index in range(2 * prompts)]
