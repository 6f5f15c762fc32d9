"""The loader of encoders behind an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rmplug import Known, RewardModel

from .connection import ServedNumbers


class EndpointStates(ServedNumbers):
    """Ask a model behind an address for the states of conversations: a served backbone for heads.

    The query `hidden-state` gives its vectors (without `layer` and `pooling`, which are the
    server's), on which `multi-objective-ridge`, `gate` and others are fitted; `linear-head`,
    `odin-head` and `assemble` take it as their encoder. A checkpoint made with it records the
    model's name and how it is asked, never the address: that comes from the spec that trains it, or
    from one that gives it to `reward-head` as `backbone`, or from Python (`open_folder(folder,
    url=…)`). Whether the model behind the name is still the one of the training, two fixed texts
    tell, which are asked about whenever a checkpoint is opened. With the input `tokens`, a step
    `tokenizer` of the same model, token ids are sent as the model gets them in this process; such
    an encoder is not recorded, and a head cannot be trained on it, but `reward-head` takes it.

    Requests, retries and what is refused are those of `endpoint-scores`. States are not scaled
    unless `normalise` says so; where the server scales them anyway, that is a notice.
    """

    kind = "endpoint-states"
    reopened_with = frozenset(
        {"model", "template", "answers_as", "body", "api", "pooling", "normalise"}
    )

    api: Literal["pooling", "embeddings", "sglang"] = "pooling"
    """The interface: vLLM's `/pooling` (a model without a head, served with `--runner pooling`),
    OpenAI's `/v1/embeddings`, or SGLang's `/encode` (`sglang`). Each is added to `url`."""
    pooling: Literal["server", "last", "mean", "cls"] = "server"
    """One vector per conversation: as the `server` pools, or, of `api: pooling`, the state of the
    last token, the mean over all, or that of the first, from the states of every token, which are
    sent."""
    normalise: bool = False
    """Scale states to length 1, in the server."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """Report an interface that cannot give what is asked for."""
        tokens = bool(inputs.get("tokens"))
        if self.api == "sglang" and self.template is None and not tokens:
            yield "api", "SGLang's /encode takes no messages; give template, or tokens"
        if self.api != "pooling" and self.pooling != "server":
            yield "pooling", f"{self.api} gives no states of tokens; leave it out, or api: pooling"
        if tokens and self.template is not None:
            yield "template", "with the input tokens, template has no say; leave it out"

    def settings_to_reopen(self) -> Mapping[str, Any]:
        """Return where the spec says that the model is, what it promises, and how it is asked."""
        names = ("url", "revision", *sorted(self.neutral))
        return {name: getattr(self, name) for name in names}

    def load(self, tokens: RewardModel | None = None) -> RewardModel:
        from ._states import load_states

        return load_states(self, tokens)
