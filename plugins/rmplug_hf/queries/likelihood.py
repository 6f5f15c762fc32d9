"""Log-probabilities of responses under language models: the implicit reward of DPO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from rmplug import Features, InputPath, Known, Pairs, QueryStrategy, Responses, RewardModel
from rmplug_hf.loading.loaders import REOPENED, HubModel
from rmplug_hf.loading.recognised import folder_mistake, trained_kind


class CausalLM(HubModel):
    """Load a language model whose reward is the log-probability of a response (the reward of DPO).

    With a reference model the reward is `beta * (log p_policy - log p_reference)`, without one
    `beta * log p_policy`: natural logarithms of the probability of the response given the prompt,
    summed over the response's tokens or per token (Rafailov et al. 2023, equation 5, without the
    term that depends on the prompt alone and drops out of margins). One output, `reward`.

    The response's tokens are those from where the prompt, with the beginning of an assistant's
    turn, ends. Padding never counts, and truncation is as for every model: what `truncate` cuts of
    a prompt is not seen by the reference either.
    """

    kind = "causal-lm"
    reopened_with = REOPENED | {"beta", "over", "ending"}

    reference: InputPath | None = None
    """Folder of the reference model: for a policy that is an adapter, the model below it. It sees
    the tokens of the policy's tokenizer and template."""
    reference_name: str | None = None
    """Name of the reference on the hub, instead of `reference`."""
    reference_revision: str | None = None
    """Commit, tag or branch of `reference_name`; by default `main`."""
    beta: float = Field(default=0.1, gt=0)
    """The reward of a difference of one in log-probability; DPO's beta."""
    over: Literal["sum", "mean"] = "sum"
    """The sum over the response's tokens, as in DPO, or the mean per token."""
    ending: bool = True
    """Count what the template writes after the response as part of it, such as the token that ends
    a turn (as in the training of TRL)."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check for a folder that a trainer of language models wrote."""
        return {"path": source} if trained_kind(source) == cls.kind else None

    @model_validator(mode="after")
    def _check_reference(self) -> CausalLM:
        if self.reference is not None and self.reference_name is not None:
            raise ValueError("give reference (a folder) or reference_name (on the hub), not both")
        if self.reference_revision is not None and self.reference_name is None:
            raise ValueError("reference_revision belongs to reference_name")
        if self.template == "pair":
            raise ValueError("pair is a template for encoders; give chat, or a text")
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report mistakes as for every model, and those of the reference."""
        yield from super().mistakes(inputs)
        folder = None if self.reference is None else folder_mistake(self.reference)
        if folder is not None:
            yield "reference", folder
        missing = self._missing(self.reference_name, self.reference_revision)
        if missing is not None:
            yield "reference_name", missing

    def identity(self) -> dict[str, str]:
        """Return the commits of names on the hub."""
        identity = dict(super().identity())
        if self.reference_name is not None:
            from rmplug.models.hub import commit_of

            identity["reference"] = commit_of(self.reference_name, self.reference_revision)
        return identity

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    def load(self) -> RewardModel:
        from ._likelihood import load_causal

        return load_causal(self)


class LogProb(QueryStrategy):
    """Ask a language model, and its reference, for the log-probability of each response.

    Works with `causal-lm`. Gives from responses `tokens` (how many of the response's tokens count),
    `policy.sum` and `policy.mean` (natural logarithm of the probability of the response given the
    prompt: summed, and per token; 0 or less) and, where the model has a reference,
    `reference.sum` and `reference.mean`; from pairs the same with `chosen.` and `rejected.` before
    each name.
    """

    kind = "log-prob"
    neutral = frozenset({"self_check"})
    requires = ("torch", "transformers")
    extra = "hf"

    self_check: int = Field(default=8, ge=0, le=256)
    """Responses that are run once more, each alone, without padding and in float32: how far the
    sums are apart is in the record and on the report; more than rounding is said in a notice. 0
    checks none."""

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from rmplug.models.self_checks import ids_to_check

        from ._likelihood import LogProbQuery

        sides = ("chosen", "rejected") if isinstance(data, Pairs) else ("response",)
        checked = ids_to_check(data, -(-self.self_check // len(sides)))
        return data.map(LogProbQuery(sides, checked), open=model.open)
