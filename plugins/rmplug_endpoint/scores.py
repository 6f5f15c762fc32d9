"""The loader of reward models behind an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Known, RewardModel

from .connection import ServedNumbers

TEXT_ONLY = {"sglang": "SGLang's /classify", "openrlhf": "/get_reward"}
"""Interfaces that take no messages."""


class EndpointScores(ServedNumbers):
    """Ask a reward model behind an address for its scores: vLLM, SGLang, OpenRLHF, `rmplug serve`.

    Scores are the raw outputs of the model, in its own unit: an activation (the sigmoid or softmax
    that vLLM applies unless told) is declined, and where all scores look like one anyway, that is a
    notice. To get the scores of the model in this process, give the input `tokens`, a step
    `tokenizer` of the same model: its token ids are sent, so that nothing is left to the server's
    template. Without it the server writes messages by its own template, or takes the text of
    `template`.

    Each distinct conversation of a shard is asked about once. Several requests are under way at
    once; 429, 5xx, cut connections and slow answers are tried again as by `endpoint`; redirects are
    not followed, and the key is in no record or message. An answer in another model's name, with
    too few rows or other than numbers ends the step; a score that is no finite number is missing
    (`on_missing` of `reward`). No message shows a text, only the ids of rows.

    What a server gives can change from day to day: its name stands for whatever it is when the step
    runs. Nothing is kept of it, and the same text in another step is asked about again, unless
    `revision` promises that the model stays the same. Then scores are kept by that word, the
    settings, and what the server says of the model (`/v1/models`, where it has that): one that is
    loaded from elsewhere is asked anew.
    """

    kind = "endpoint-scores"

    api: Literal["classify", "score", "pooling", "token-pooling", "sglang", "openrlhf"] = "classify"
    """The interface: vLLM's `/classify`, which `rmplug serve` has too; its `/score` (prompt and
    response as two texts, for cross-encoders); its `/pooling` with task `classify`, or with
    `token_classify`, of which the last token counts (`token-pooling`); SGLang's `/classify`
    (`sglang`); OpenRLHF's `/get_reward` (`openrlhf`). Each is added to `url`."""
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] = ("reward",)
    """Names of the model's outputs, in order: as many as it gives."""
    use_activation: bool = False
    """Ask for scores after the model's activation, between 0 and 1, instead of before; of `sglang`
    and `openrlhf`, the server's settings decide."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=self.outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """Report an interface that cannot take conversations as they would be written."""
        tokens = bool(inputs.get("tokens"))
        if self.api in TEXT_ONLY and self.template is None and not tokens:
            yield "api", f"{TEXT_ONLY[self.api]} takes no messages; give template, or tokens"
        if tokens and self.api in ("score", "openrlhf"):
            yield "api", f"{self.api} takes texts, not token ids; leave the input tokens out"
        if tokens and self.template is not None:
            yield "template", "with the input tokens, template has no say; leave it out"
        if self.api == "score" and self.template is not None:
            yield "template", "of api: score the server joins prompt and response; leave it out"

    def load(self, tokens: RewardModel | None = None) -> RewardModel:
        from ._scores import load_scores

        return load_scores(self, tokens)
