"""The query for the reward after each token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rmplug import Features, Known, Pairs, QueryStrategy, Responses, RewardModel


class TokenRewards(QueryStrategy):
    """Return the reward after each token: the model's head applied at every position.

    The reward at a token is what the model would give if the conversation ended there, without what
    a template writes after it; the last is the score of the conversation. It shows where in a
    response the reward rises and falls: `html` draws it over the text.

    From responses, lists of each row's own length: `response.ids` (token ids), `response.texts`
    (the text of each token; that of a character of several tokens stands at its last) and
    `response.rewards` (in the model's unit; of a model with several outputs
    `response.rewards.<output>`); and the numbers `response.tokens` (of the whole conversation) and
    `response.start` (the index of the response's first token). From pairs the same of `chosen` and
    `rejected`.

    It takes a causal model whose head is linear and read at the last token: `value-head`, and most
    decoders of `sequence-classifier`. Others are refused: where later tokens are seen (encoders), a
    reward in the middle means nothing.
    """

    kind = "token-rewards"
    requires = ("torch", "transformers")
    extra = "hf"

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from ._trajectory_query import TrajectoryQuery

        return data.map(TrajectoryQuery(sides_of(isinstance(data, Pairs))), open=model.open)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        names = [f"{side}.{what}" for side in sides_of(data.is_a(Pairs)) for what in NUMBERS]
        return Known(columns=dict.fromkeys(names, "number"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        model = inputs["model"][0]
        if model.compares or (model.outputs is not None and not model.outputs):
            yield "model", f"{model.step} gives no scores of responses; name a reward model"


NUMBERS = ("tokens", "start")
"""The columns of numbers; the others are lists."""


def sides_of(pairs: bool) -> tuple[str, ...]:
    """Return the sides whose tokens are rewarded."""
    return ("chosen", "rejected") if pairs else ("response",)
