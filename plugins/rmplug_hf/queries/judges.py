"""Language models as judges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rmplug import Known, RewardModel
from rmplug_hf.loading.loaders import HubModel

PAIRWISE = """Which of the two responses to the conversation below is better? Consider whether it \
is helpful, correct, honest and harmless, and not how long it is or whether it comes first.

[Conversation]
{prompt}

[Response A]
{a}

[Response B]
{b}

[Question]
Which response is better? Answer with A or B only."""

SINGLE = """Is the response to the conversation below a good one: helpful, correct, honest and \
harmless?

[Conversation]
{prompt}

[Response]
{response}

[Question]
Is it a good response? Answer with Yes or No only."""


class GenerativeJudge(HubModel):
    """Load a language model that is asked which response is better, or how good one is.

    Nothing is generated: the verdict is read from the probabilities of the labels as the next
    token. Of a pair, the model sees both responses, in both orders: with p the probability of the
    chosen one's label among the two labels, averaged over the orders, the margin is
    `log(p / (1 - p))`, so that the query `reward` gives p as `probability` (and no `chosen` and
    `rejected`, which there are none of). Pairs whose verdict changes with the order are counted and
    named.

    A response alone is scored by the mean of `scale`, weighted by the probabilities of its labels:
    unless changed, the probability of Yes among Yes and No, 0 to 1. With `pairwise: null` pairs,
    too, are compared by these scores.
    """

    kind = "generative-judge"

    pairwise: str | None = PAIRWISE
    """The question about two responses, with `{prompt}`, `{a}` and `{b}`; null asks about each
    response alone."""
    labels: tuple[str, str] = ("A", "B")
    """The model's answers if the first, or the second, of two responses is better."""
    single: str = SINGLE
    """The question about one response, with `{prompt}` and `{response}`."""
    scale: Mapping[str, float] = Field(default_factory=lambda: {"Yes": 1.0, "No": 0.0})
    """The value of each answer about one response; a rating is `{"1": 1, "2": 2, "3": 3}`."""
    turn: str | None = None
    """The format of each message where a prompt has several, with `{role}` and `{content}`; by
    default `"{role}: {content}"`. A message that is alone is written as it is."""
    truncate: Literal["prompt-left", "error"] = "prompt-left"
    """The part cut from a question that is too long: `prompt-left` the beginning of the
    conversation that is asked about; `error` refuses it. What is cut is counted and named."""

    @field_validator("labels", "scale")
    @classmethod
    def _check_labels(cls, value: tuple[str, str] | Mapping[str, float]) -> object:
        if len(set(value)) < 2 or any(not label for label in value):
            raise ValueError("needs two different answers at least, none of them empty")
        return value

    @model_validator(mode="after")
    def _check_questions(self) -> GenerativeJudge:
        _check_placeholders("single", self.single, ("prompt", "response"))
        if self.pairwise is not None:
            _check_placeholders("pairwise", self.pairwise, ("prompt", "a", "b"))
        if self.template == "pair":
            raise ValueError("pair is a template for encoders; give chat, or a text")
        return self

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",), compares=self.pairwise is not None)

    def load(self) -> RewardModel:
        from ._judge import load_judge

        return load_judge(self)


def _check_placeholders(name: str, question: str, allowed: tuple[str, ...]) -> None:
    missing = [f"{{{slot}}}" for slot in allowed if f"{{{slot}}}" not in question]
    if missing:
        raise ValueError(f"{name} must have {', '.join(missing)}")
    unknown = [slot for slot in re.findall(r"{(\w+)}", question) if slot not in allowed]
    if unknown:
        listed = ", ".join(f"{{{slot}}}" for slot in allowed)
        raise ValueError(f"{name} has {{{unknown[0]}}}; it can have {listed}")
