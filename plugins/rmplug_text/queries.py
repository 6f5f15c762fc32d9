"""Queries for the scores of a reward model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from rmplug import Features, Known, Names, Pairs, QueryStrategy, Responses, RewardModel
from rmplug.errors import did_you_mean, some

VERDICT = ("margin", "probability", "loss")
OF_PAIRS, OF_RESPONSES = ("chosen", "rejected", *VERDICT), ("reward",)
RENAMED = {
    "chosen_end_scores": "chosen",
    "rejected_end_scores": "rejected",
    "end_scores": "reward",
    "scores": "reward",
}
"""Names that other tools have for what a query stores."""
ELSEWHERE = {
    "hidden_states": "the query hidden-state with layers: all",
    "embeddings": "the query hidden-state with layer: 0",
    "tokens": "the query token-rewards",
}
"""What other tools store in the same step, and the query that gives it."""


class Reward(QueryStrategy):
    """Score every response with the reward model, and compare chosen with rejected.

    Gives from pairs `chosen` and `rejected` (scores, in the model's unit), `margin` (chosen minus
    rejected), `probability` that chosen is preferred (Bradley-Terry: the logistic function of the
    margin, 0 to 1) and `loss` (minus its natural logarithm, 0 or more); from responses `reward`.
    A model with several outputs gives each of these per output: `chosen.helpfulness`,
    `margin.helpfulness`, `reward.helpfulness`; an output called `reward` has no such ending.

    The model sees both responses of a pair at once, as rows `<id>/chosen` and `<id>/rejected`. One
    that compares them itself, such as `generative-judge`, has no scores of pairs: it gives `margin`
    (log-odds that chosen is better), `probability` and `loss`.
    """

    kind = "reward"
    neutral = frozenset({"self_check"})

    store: Annotated[Names, Field(min_length=1)] | None = None
    """The columns to keep, of those that the query gives: from pairs `chosen`, `rejected`,
    `margin`, `probability`, `loss`, from responses `reward`; by default all. Of a model with
    several outputs each stands for those of every output."""
    self_check: int = Field(default=8, ge=0, le=256)
    """Rows (responses; two of each pair) that are scored once more, each alone, without padding and
    in float32: how far the scores are apart, and how many pairs are decided otherwise, is in the
    record and on the report. More than rounding is said in a notice. 0 checks none; models of other
    libraries, which have no such other way, are not checked."""
    on_missing: Literal["error", "keep"] = "error"
    """The policy for a score that is not a finite number: `error` names the rows; `keep` leaves it
    as it is and counts it."""

    @field_validator("store")
    @classmethod
    def _store_is_known(cls, store: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in store or ():
            if name in RENAMED:
                raise ValueError(f"{name!r} is called {RENAMED[name]} here; write that")
            if name in ELSEWHERE:
                raise ValueError(f"{name!r} is not given by reward; use {ELSEWHERE[name]}")
            if name not in (*OF_PAIRS, *OF_RESPONSES):
                hint = did_you_mean(name, (*OF_PAIRS, *OF_RESPONSES))
                raise ValueError(f"no column {name!r}{hint} (there are {some(OF_PAIRS)}; reward)")
        return store

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        model, data = inputs["model"][0], inputs["data"][0]
        if model.outputs is None or not data.is_a(Pairs, Responses):
            return Known()
        names = [name for name in self._given(model, data) if self._keeps(name)]
        outputs = ("reward",) if model.compares and data.is_a(Pairs) else model.outputs
        ends = ["" if output == "reward" else f".{output}" for output in outputs]
        return Known(columns={f"{name}{end}": "number" for end in ends for name in names})

    def _given(self, model: Known, data: Known) -> tuple[str, ...]:
        """Return the columns of one output that the query gives, before ``store``."""
        if not data.is_a(Pairs):
            return OF_RESPONSES
        return VERDICT if model.compares else OF_PAIRS

    def _keeps(self, name: str) -> bool:
        return self.store is None or name in self.store

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        model = inputs["model"][0]
        if model.outputs is not None and not model.outputs:
            yield "model", f"{model.step} gives no scores; name a reward model"
        yield from self._absent(model, inputs["data"][0])

    def _absent(self, model: Known, data: Known) -> Iterable[tuple[str, str]]:
        """Report what `store` names that the query does not give of such a model and data."""
        if not data.is_a(Pairs) and not data.is_a(Responses):
            return
        given = self._given(model, data)
        what = "pairs" if data.is_a(Pairs) else "responses"
        by = "a model that compares" if given == VERDICT else "the query"
        for name in self.store or ():
            if name not in given:
                yield "store", f"of {what} {by} gives no {name}; it gives {some(given)}"

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from rmplug.models.self_checks import ids_to_check

        from ._reward import ScorePairs, ScoreResponses

        of_pairs = isinstance(data, Pairs)
        ask = ScorePairs if of_pairs else ScoreResponses
        count = -(-self.self_check // 2) if of_pairs else self.self_check
        checked = ids_to_check(data, count)
        return data.map(ask(self.on_missing, self.store, checked), open=model.open)
