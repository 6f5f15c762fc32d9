"""Tokenizers by themselves: how a model that runs elsewhere reads a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rmplug import Known, RewardModel

from .loaders import HubReader


class Tokenizer(HubReader):
    """Load how a model reads conversations, without its weights: for a model that is served.

    The input `tokens` of `endpoint-scores` and `endpoint-states`: a conversation becomes the token
    ids that the same model gets in this process, by the same template, cut at the same place. What
    `format.json` of a trained model's folder says of that is taken unless the spec says otherwise.
    It has no scores. `template: pair` is refused, since token ids do not tell the two segments of
    an encoder apart.
    """

    kind = "tokenizer"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        yield from super().mistakes(inputs)
        if self.template == "pair":
            yield (
                "template",
                "pair makes two segments, which token ids do not tell apart; give the served model "
                "no tokens, and ask its api: score",
            )

    def load(self) -> RewardModel:
        from ._tokenizer import load_tokenizer

        return load_tokenizer(self)
