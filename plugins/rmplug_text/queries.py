"""Queries for the scores of a reward model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rmplug import Features, Known, Pairs, QueryStrategy, Responses, RewardModel


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

    on_missing: Literal["error", "keep"] = "error"
    """The policy for a score that is not a finite number: `error` names the rows; `keep` leaves it
    as it is and counts it."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        model, data = inputs["model"][0], inputs["data"][0]
        if model.outputs is None or not data.is_a(Pairs, Responses):
            return Known()
        verdict = ("margin", "probability", "loss")
        if model.compares and data.is_a(Pairs):
            return Known(columns=dict.fromkeys(verdict, "number"))
        names = ("chosen", "rejected", *verdict) if data.is_a(Pairs) else ("reward",)
        ends = ["" if output == "reward" else f".{output}" for output in model.outputs]
        return Known(columns={f"{name}{end}": "number" for end in ends for name in names})

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        model = inputs["model"][0]
        if model.outputs is not None and not model.outputs:
            yield "model", f"{model.step} gives no scores; name a reward model"

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from ._reward import ScorePairs, ScoreResponses

        ask = ScorePairs if isinstance(data, Pairs) else ScoreResponses
        return data.map(ask(self.on_missing), open=model.open)
