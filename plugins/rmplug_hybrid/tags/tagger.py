"""Tags that a language model gives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from rmplug import Features, Known, Pairs, QueryStrategy, Responses, RewardModel
from rmplug_hybrid.names.dimensions import Dimension, check_choice, choose_dimensions
from rmplug_hybrid.names.feature_names import name_tags

TEMPLATE = """{question}
{answers}

Data:
[START]
{conversation}[END]
"""
FIELDS = ("question", "answers", "dimension", "conversation")


class Tagger(QueryStrategy):
    """Ask a language model what each prompt is about: subjects, expertise, safety and more.

    Works with models that generate text: `causal-lm`, `generative-judge` and `endpoint`. Each
    prompt is asked about once per dimension, without sampling; identical ones are asked about once
    per shard. The answer must be JSON with the dimension as key: `{"safety_concern": "low"}`.

    Gives the 0/1 columns of the step `tags`, and for each dimension `missing.<dimension>`: 1 where
    the model gave no answer, or one that could not be read. These rows, and values that are in no
    vocabulary, are counted and named.

    With the built-in dimensions and `template: "{question}\n\nData:\n[START]\n{conversation}
    [END]\n"` a model is asked as the hybrid preference router asks its analyzer (arXiv
    2410.19133), with the instructions as the dimensions' questions.
    """

    kind = "tagger"

    dimensions: Mapping[str, Dimension] | None = None
    """Dimensions to ask about, by name: `{topic: {values: [law, medicine], question: "What is it
    about?"}}`; eight built-in dimensions unless given."""
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The dimensions to use; all of them unless given."""
    template: str = TEMPLATE
    """The text sent to the model: `{conversation}` is the prompt with who speaks, `{question}` the
    dimension's question, `{answers}` what it may answer and in which form, `{dimension}` its name.
    """
    longest: int | None = Field(default=None, ge=1)
    """Most characters of a conversation that are shown, from its end; all of them unless given.
    What is cut is counted and named."""
    max_new_tokens: int = Field(default=100, ge=1)
    """Most tokens of an answer."""

    @model_validator(mode="after")
    def _check(self) -> Tagger:
        check_choice(self.only, self.dimensions)
        unknown = [name for name in re.findall(r"{(\w+)}", self.template) if name not in FIELDS]
        if unknown or "{conversation}" not in self.template:
            listed = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ValueError(f"template must have {{conversation}}, and can have only {listed}")
        return self

    def _dimensions(self) -> dict[str, Dimension]:
        """Return the dimensions that are asked about, by name."""
        return choose_dimensions(self.only, self.dimensions)

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from ._tagger import PromptTagging

        tagging = PromptTagging(
            self._dimensions(), self.template, self.longest, self.max_new_tokens
        )
        return data.map(tagging, open=model.open)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        asked = self._dimensions()
        names = [name for tag, dimension in asked.items() for name in name_tags(tag, dimension)]
        return Known(columns=[*names, *(f"missing.{tag}" for tag in asked)])
