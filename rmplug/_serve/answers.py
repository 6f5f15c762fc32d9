"""The bodies of answers, in the forms of vLLM, OpenRLHF and our own."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rmplug.models.scorer import MAIN

from .batching import Scored
from .requests import RequestError

if TYPE_CHECKING:
    import numpy as np


class Answers:
    """The answers of a model with a name and named outputs."""

    def __init__(self, name: str, outputs: Sequence[str]) -> None:
        self.name, self.outputs = name, tuple(outputs)

    def classify(self, scored: Scored, activated: bool) -> dict[str, Any]:
        """vLLM's answer to ``/classify``: ``probs`` are the scores as the model gives them, unless
        an activation was asked for (the sigmoid of one output, the softmax of several)."""
        rows = [_numbers(row) for row in _activated(scored.matrix, activated)]
        data = [
            {"index": index, "label": self._label(row), "probs": row, "num_classes": len(row)}
            for index, row in enumerate(rows)
        ]
        return {
            **self._head("classify"),
            "outputs": list(self.outputs),
            "data": data,
            **_told(scored),
        }

    def score(self, scored: Scored, activated: bool) -> dict[str, Any]:
        """vLLM's answer to ``/score``."""
        rewards = self._rewards(scored)
        if activated:
            rewards = [None if value is None else _sigmoid(value) for value in rewards]
        data = [
            {"index": index, "object": "score", "score": value}
            for index, value in enumerate(rewards)
        ]
        return {**self._head("score"), "data": data, **_told(scored)}

    def get_reward(self, scored: Scored) -> dict[str, Any]:
        """OpenRLHF's answer to ``/get_reward``: ``scores`` are the sigmoid of ``rewards``, and
        ``extra_logs`` each output by its name."""
        rewards = self._rewards(scored)
        logs = {name: _numbers(scored.matrix[:, k]) for k, name in enumerate(self.outputs)}
        return {
            "rewards": rewards,
            "scores": [None if value is None else _sigmoid(value) for value in rewards],
            "extra_logs": logs,
            **_told(scored),
        }

    def rank(self, scored: Scored) -> dict[str, Any]:
        """The responses best first, by their numbers in the request; rank 1 is the best, equal
        rewards share a rank; one without a reward is the last, and has no rank."""
        rewards = self._rewards(scored)
        known = [value for value in rewards if value is not None]
        order = sorted(range(len(rewards)), key=lambda row: -_or_least(rewards[row]))
        ranking = [
            {
                "index": row,
                "reward": (reward := rewards[row]),
                "rank": None if reward is None else 1 + sum(other > reward for other in known),
            }
            for row in order
        ]
        return {**self._head("rank"), "ranking": ranking, **_told(scored)}

    def models(self, created: int) -> dict[str, Any]:
        """OpenAI's list of the one model that is served."""
        model = {"id": self.name, "object": "model", "created": created, "owned_by": "rmplug"}
        return {"object": "list", "data": [{**model, "outputs": list(self.outputs)}]}

    def _head(self, what: str) -> dict[str, Any]:
        made = f"{what}-{uuid.uuid4().hex}"
        return {"id": made, "object": "list", "created": int(time.time()), "model": self.name}

    def _label(self, row: Sequence[float | None]) -> str | None:
        """Return the name of the highest output, of a model with several."""
        known = [(value, -k) for k, value in enumerate(row) if value is not None]
        return self.outputs[-max(known)[1]] if known and len(self.outputs) > 1 else None

    def _rewards(self, scored: Scored) -> list[float | None]:
        """Return the one reward of each row."""
        if len(self.outputs) > 1 and MAIN not in self.outputs:
            raise RequestError(
                400,
                f"the model gives {len(self.outputs)} rewards ({', '.join(self.outputs)}), none of "
                "which stands for all; ask /classify",
            )
        column = self.outputs.index(MAIN) if MAIN in self.outputs else 0
        return _numbers(scored.matrix[:, column])


def _numbers(row: np.ndarray) -> list[float | None]:
    """Return numbers for JSON, which has no NaN."""
    return [value if math.isfinite(value) else None for value in row.tolist()]


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(min(value, 700.0), -700.0)))


def _activated(matrix: np.ndarray, activated: bool) -> np.ndarray:
    import numpy as np

    if not activated or not matrix.size:
        return matrix
    if matrix.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-np.clip(matrix, -700, 700))))
    grown = np.exp(matrix - matrix.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def _told(scored: Scored) -> dict[str, Any]:
    """Return what is odd about rows, such as that they were cut; nothing where nothing is."""
    told = [{"what": what, "rows": rows} for what, rows in sorted(scored.told.items())]
    return {"notices": told} if told else {}
