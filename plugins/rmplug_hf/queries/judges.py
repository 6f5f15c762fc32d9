"""Language models that are asked for a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rmplug import RewardModel
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
    """What the model answers when the first, or the second, of two responses is better."""
    single: str = SINGLE
    """The question about one response, with `{prompt}` and `{response}`."""
    scale: Mapping[str, float] = Field(default_factory=lambda: {"Yes": 1.0, "No": 0.0})
    """What each answer about one response is worth; a rating is `{"1": 1, "2": 2, "3": 3}`."""
    turn: str | None = None
    """How each message of a prompt of several is written, with `{role}` and `{content}`;
    `"{role}: {content}"` when not given. A message that is alone is written as it is."""
    truncate: Literal["prompt-left", "error"] = "prompt-left"
    """What a question that is too long loses: `prompt-left` the beginning of the conversation that
    is asked about; `error` refuses it. What is cut is counted and named."""

    @field_validator("labels", "scale")
    @classmethod
    def _check_labels(cls, value: tuple[str, str] | Mapping[str, float]) -> object:
        if len(set(value)) < 2 or any(not label for label in value):
            raise ValueError("needs two different answers at least, none of them empty")
        return value

    @model_validator(mode="after")
    def _check_questions(self) -> GenerativeJudge:
        _check_places("single", self.single, ("prompt", "response"))
        if self.pairwise is not None:
            _check_places("pairwise", self.pairwise, ("prompt", "a", "b"))
        if self.template == "pair":
            raise ValueError("pair is a template for encoders; give chat, or a text")
        return self

    def load(self) -> RewardModel:
        from ._judge import load_judge

        return load_judge(self)


def _check_places(name: str, question: str, places: tuple[str, ...]) -> None:
    missing = [place for place in places if f"{{{place}}}" not in question]
    if missing:
        raise ValueError(f"{name} must have {', '.join(f'{{{place}}}' for place in missing)}")
    unknown = [place for place in re.findall(r"{(\w+)}", question) if place not in places]
    if unknown:
        listed = ", ".join(f"{{{place}}}" for place in places)
        raise ValueError(f"{name} has {{{unknown[0]}}}; it can have {listed}")
