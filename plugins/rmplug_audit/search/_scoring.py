"""What a model says of changed responses: each question once, counted against a budget, and
kept."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, Pairs, Responses, RewardModel, notice
from rmplug.arrays import Array
from rmplug.data.messages import message_type
from rmplug.data.rows import one_batch
from rmplug.errors import some

from ._cases import Case
from ._journal import Journal

MAIN = "reward"
AT_ONCE = 128
"""Questions that a model is asked at a time; their answers are kept together or not at all, so that
a fit which goes on after a kill asks the same ones together."""

Turns: TypeAlias = list[dict[str, str]]
Tell: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Question:
    """One response to be scored, or two to be compared, in this order."""

    case: Case
    responses: tuple[Turns, ...]

    @cached_property
    def key(self) -> str:
        """A name of the question: equal ones have the same."""
        told = json.dumps([self.case.prompt, *self.responses], ensure_ascii=False)
        return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Scoring(ABC):
    """A model that is asked at most ``budget`` questions."""

    odd: ClassVar[str]
    """What is said of answers that are no finite numbers."""
    per_text: int = 1
    """The questions about a changed response."""

    def __init__(
        self, model: RewardModel, journal: Journal, budget: int, tell: Tell = lambda spent: None
    ) -> None:
        self.model, self.journal, self.budget, self.tell = model, journal, budget, tell
        self.known: dict[str, float] = {}
        self.charged = 0

    @property
    def spent(self) -> int:
        """Questions that were asked, and what was charged."""
        return len(self.known) + self.charged

    @property
    def left(self) -> int:
        """Questions that may still be asked."""
        return self.budget - self.spent

    def charge(self, questions: int) -> None:
        """Count other work with the model as so many questions."""
        self.charged += questions
        self.tell(self.spent)

    def count_new(self, changed: Sequence[tuple[Case, str]]) -> int:
        """Count the questions that would have to be asked about bad responses with other texts."""
        asked = (question for case, text in changed for question in self._about(case, text))
        return len({question.key for question in asked} - self.known.keys())

    @abstractmethod
    def standing(self, cases: Sequence[Case]) -> tuple[Array, Array]:
        """Return the rewards of the good and of the bad responses as they are, each float64 of
        shape (cases,), NaN where the model gives none."""

    @abstractmethod
    def effects(self, changed: Sequence[tuple[Case, str]]) -> tuple[Array, Array]:
        """Return by how much bad responses with other texts are above themselves unchanged, and
        above the good ones; each float64 of shape (changed,), NaN where the model gives none."""

    @abstractmethod
    def _about(self, case: Case, text: str) -> list[Question]:
        """Return the questions about the bad response with another text."""

    @abstractmethod
    def _ask(self, names: list[str], asked: Sequence[Question]) -> Array | None:
        """Return the answers of the model, of shape (asked,); None if it answers no such ones."""

    def answers(self, asked: Sequence[Question]) -> Array:
        """Return the answer to each question; float64 of shape (asked,)."""
        new = {question.key: question for question in asked if question.key not in self.known}
        if len(new) > self.left:
            raise AssertionError(f"{len(new)} scorings where {self.left} are left")
        names = list(new)
        for start in range(0, len(names), AT_ONCE):
            self.takes([new[name] for name in names[start : start + AT_ONCE]])
        return np.array([self.known[question.key] for question in asked], dtype=np.float64)

    def takes(self, asked: Sequence[Question]) -> bool:
        """Ask questions, all at once; False if the model answers no such ones."""
        names = [question.key for question in asked]
        together = hashlib.blake2b("".join(names).encode(), digest_size=16).hexdigest()
        values = self.journal.get(together)
        if values is None:
            given = self._ask(names, asked)
            if given is None:
                return False
            finite = np.where(np.isfinite(given), given, np.nan)
            values = finite.astype(np.float64).tolist()
            self.journal.put(together, values)
        self.known.update(zip(names, map(float, values), strict=True))
        told = zip(asked, values, strict=True)
        notice(self.odd, [one.case.id for one, value in told if not np.isfinite(value)])
        self.tell(self.spent)
        return True


class Rewards(Scoring):
    """A model that scores each response by itself: a question is a text."""

    odd = "a changed response has no finite reward"

    def __init__(
        self, model: RewardModel, journal: Journal, budget: int, tell: Tell = lambda spent: None
    ) -> None:
        super().__init__(model, journal, budget, tell)
        if len(model.outputs) > 1 and MAIN not in model.outputs:
            raise DataError(
                f"the model gives {len(model.outputs)} rewards ({some(model.outputs)}), none of "
                f"which is called {MAIN}; combine them first"
            )
        self.column = model.outputs.index(MAIN) if MAIN in model.outputs else 0

    def standing(self, cases: Sequence[Case]) -> tuple[Array, Array]:
        good = self.answers([Question(case, (case.good.turns,)) for case in cases])
        return good, self.answers([Question(case, (case.bad.turns,)) for case in cases])

    def effects(self, changed: Sequence[tuple[Case, str]]) -> tuple[Array, Array]:
        after = self.answers([one for each in changed for one in self._about(*each)])
        good, bad = self.standing([case for case, _ in changed])
        return after - bad, after - good

    def _about(self, case: Case, text: str) -> list[Question]:
        return [Question(case, (case.bad.with_text(text),))]

    def _ask(self, names: list[str], asked: Sequence[Question]) -> Array:
        responses = pa.array([one.responses[0] for one in asked], message_type())
        columns = {"id": pa.array(names), "prompt": _prompts(asked), "response": responses}
        batch = one_batch(Responses(pa.table(columns)).table)
        values = np.asarray(self.model.score(batch), dtype=np.float64)
        column: Array = values.reshape(len(names), len(self.model.outputs))[:, self.column]
        return column


class Verdicts(Scoring):
    """A model that compares two responses: a question is about two, in one order. Rewards are
    log-odds over the bad response as it is, whose own are 0. One that depends on the order is asked
    in both, and the mean is taken."""

    odd = "a comparison with a changed response has no finite margin"

    def __init__(
        self, model: RewardModel, journal: Journal, budget: int, tell: Tell = lambda spent: None
    ) -> None:
        super().__init__(model, journal, budget, tell)
        self.orders = 1 if model.antisymmetric else 2
        self.per_text = 2 * self.orders

    def standing(self, cases: Sequence[Case]) -> tuple[Array, Array]:
        margins = self._margins([(case, case.good.turns, case.bad.turns) for case in cases])
        return margins, np.zeros(len(cases))

    def effects(self, changed: Sequence[tuple[Case, str]]) -> tuple[Array, Array]:
        beside = [
            (case, case.bad.with_text(text), other)
            for case, text in changed
            for other in (case.bad.turns, case.good.turns)
        ]
        margins = self._margins(beside).reshape(len(changed), 2)
        return margins[:, 0], margins[:, 1]

    def _about(self, case: Case, text: str) -> list[Question]:
        sides = (case.bad.turns, case.good.turns)
        return [one for side in sides for one in self._beside(case, case.bad.with_text(text), side)]

    def _beside(self, case: Case, one: Turns, other: Turns) -> list[Question]:
        """Return the questions about two responses: none if they are the same."""
        orders = ((one, other), (other, one)) if one != other else ()
        return [Question(case, order) for order in orders[: self.orders]]

    def _margins(self, beside: Sequence[tuple[Case, Turns, Turns]]) -> Array:
        """Return by how much the first of two responses is preferred; 0 if they are the same."""
        asked = [self._beside(*each) for each in beside]
        answers = iter(self.answers([one for each in asked for one in each]).tolist())
        signed = [[next(answers) * (-1) ** at for at in range(len(each))] for each in asked]
        return np.array([np.mean(each) if each else 0.0 for each in signed], dtype=np.float64)

    def _ask(self, names: list[str], asked: Sequence[Question]) -> Array | None:
        sides = ([one.responses[at] for one in asked] for at in (0, 1))
        chosen, rejected = (pa.array(side, message_type()) for side in sides)
        texts = {"chosen": chosen, "rejected": rejected}
        pairs = Pairs(pa.table({"id": pa.array(names), "prompt": _prompts(asked), **texts}))
        margins = self.model.compare(one_batch(pairs.table))
        return None if margins is None else np.asarray(margins, np.float64).reshape(len(names))


def scoring_of(
    model: RewardModel, first: Case, journal: Journal, budget: int, tell: Tell
) -> Scoring:
    """Return the way to ask a model: as the query ``reward`` does, by its verdicts if it compares
    responses, which is seen by asking about those of the first case, else by its rewards."""
    verdicts = Verdicts(model, journal, budget, tell)
    compares = verdicts.takes([Question(first, (first.good.turns, first.bad.turns))])
    return verdicts if compares else Rewards(model, journal, budget, tell)


def _prompts(asked: Sequence[Question]) -> pa.Array:
    return pa.array([one.case.prompt for one in asked], message_type())
