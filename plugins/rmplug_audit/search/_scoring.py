"""The scores of changed responses: each text once, counted against a budget, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from rmplug import DataError, Responses, RewardModel, notice
from rmplug.arrays import Array
from rmplug.data.messages import message_type
from rmplug.data.rows import one_batch
from rmplug.errors import some

from ._cases import Case, Side
from ._journal import Journal

MAIN = "reward"
AT_ONCE = 128
"""Texts that a model is asked for at a time; they are kept together or not at all, so that a fit
which goes on after a kill asks for the same ones together."""


class Scoring:
    """A model that is asked for the reward of responses, at most ``budget`` times."""

    def __init__(
        self,
        model: RewardModel,
        journal: Journal,
        budget: int,
        tell: Callable[[int], None] = lambda spent: None,
    ) -> None:
        self.model, self.journal, self.budget, self.tell = model, journal, budget, tell
        self.known: dict[str, float] = {}
        if len(model.outputs) > 1 and MAIN not in model.outputs:
            raise DataError(
                f"the model gives {len(model.outputs)} rewards ({some(model.outputs)}), none of "
                f"which is called {MAIN}; combine them first"
            )
        self.column = model.outputs.index(MAIN) if MAIN in model.outputs else 0

    @property
    def spent(self) -> int:
        """Texts that were scored."""
        return len(self.known)

    @property
    def left(self) -> int:
        """Texts that may still be scored."""
        return self.budget - self.spent

    def count_new(self, asked: Sequence[tuple[Case, Side, str]]) -> int:
        """Count the texts that would have to be scored."""
        return len({_key(*each) for each in asked} - self.known.keys())

    def scores(self, asked: Sequence[tuple[Case, Side, str]]) -> Array:
        """Return the reward of each response, given as a side of a case with another last text;
        float64 of shape (asked,), NaN where the model gives none."""
        keys = [_key(*each) for each in asked]
        new = {key: each for key, each in zip(keys, asked, strict=True) if key not in self.known}
        if len(new) > self.left:
            raise AssertionError(f"{len(new)} scorings where {self.left} are left")
        names = list(new)
        for start in range(0, len(names), AT_ONCE):
            part = names[start : start + AT_ONCE]
            self._score(part, [new[name] for name in part])
        return np.array([self.known[key] for key in keys], dtype=np.float64)

    def _score(self, names: list[str], asked: list[tuple[Case, Side, str]]) -> None:
        together = hashlib.blake2b("".join(names).encode(), digest_size=16).hexdigest()
        values = self.journal.get(together)
        if values is None:
            values = self._ask(names, asked)
            self.journal.put(together, values)
        self.known.update(zip(names, map(float, values), strict=True))
        given = zip(asked, values, strict=True)
        odd = [case.id for (case, _, _), value in given if not np.isfinite(value)]
        notice("a changed response has no finite reward", odd)
        self.tell(self.spent)

    def _ask(self, names: list[str], asked: list[tuple[Case, Side, str]]) -> list[float]:
        columns = {
            "id": pa.array(names),
            "prompt": pa.array([case.prompt for case, _, _ in asked], message_type()),
            "response": pa.array([side.with_text(text) for _, side, text in asked], message_type()),
        }
        batch = one_batch(Responses(pa.table(columns)).table)
        values = np.asarray(self.model.score(batch), dtype=np.float64)
        values = values.reshape(len(names), len(self.model.outputs))[:, self.column]
        return [value if np.isfinite(value) else float("nan") for value in values.tolist()]


def _key(case: Case, side: Side, text: str) -> str:
    """Return a name of a conversation: equal ones have the same."""
    told = json.dumps([case.prompt, side.with_text(text)], ensure_ascii=False)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
