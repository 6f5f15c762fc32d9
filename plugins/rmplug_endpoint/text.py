"""The loader of language models behind an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rmplug import Known, RewardModel

from .connection import ServedModel


class Endpoint(ServedModel):
    """Ask a language model behind an OpenAI-compatible address; it generates text, and scores none.

    Prompts go to `<url>/chat/completions`, several at a time. Too many requests (429), errors of
    the server (5xx), broken connections and answers that take too long are tried again, each time
    after twice the wait, or as long as the server asks for (Retry-After), a minute at most; any
    other refusal ends the step with the server's words. The key is read from an environment
    variable when the model is used: it is in no spec, record, store or message.

    Redirects are not followed. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`,
    `ALL_PROXY`, except for the hosts in `NO_PROXY`): a proxy can read the key and the prompts of
    an `http` address, not those of an `https` one. Certificates are checked against the system's.

    What a service answers can change from day to day: its name stands for whatever it is when the
    step runs. A reward model behind an address is asked by `endpoint-scores`.
    """

    kind = "endpoint"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def load(self) -> RewardModel:
        from ._chat import load_generator

        return load_generator(self)
