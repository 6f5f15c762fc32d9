"""Questions about prompts, and what is read from a language model's answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, notice
from rmplug_hybrid.names.dimensions import Dimension

from ._tags import Vocabulary, encode, from_values, is_tag, tell_unknown
from .tagger import Tagger

Message: TypeAlias = Mapping[str, str]
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
CUT = "prompt cut to the characters that the tagger shows (longest)"


@runtime_checkable
class Writes(Protocol):
    """A model that generates text."""

    def generate(
        self,
        prompts: Sequence[str | Sequence[Message]],
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> list[str]:
        """The text that follows each prompt: a message of the user, or a whole conversation."""


def conversation(messages: Sequence[Message]) -> str:
    """Messages with who speaks, each ended by a line break."""
    return "".join(f"<|{turn['role']}|>\n{turn['content']}\n" for turn in messages)


def answers(name: str, dimension: Dimension) -> str:
    """What may be answered, and in which form."""
    values = ", ".join((*dimension.values, *dimension.others))
    if dimension.form == "open-set":
        what, shown = "Name each in a few words, or none.", '["..."]'
    elif dimension.form == "scalar":
        what, shown = f"Choose one of: {values}.", json.dumps(dimension.values[0])
    else:
        what, shown = f"Choose all that apply: {values}.", json.dumps([dimension.values[0]])
    return f'{what} Answer with JSON only, in this form: {{"{name}": {shown}}}'


def question(template: str, name: str, dimension: Dimension, shown: str) -> str:
    """The text that is sent about one prompt and one dimension."""
    asked = dimension.question or f"What is the {name.replace('_', ' ')} of the text below?"
    parts = {
        "question": asked,
        "answers": answers(name, dimension),
        "dimension": name,
        "conversation": shown,
    }
    return re.sub(r"{(\w+)}", lambda place: parts[place[1]], template)


def parsed(answer: str, name: str) -> str | list[str] | None:
    """The value that an answer gives for a dimension; None where it gives none that can be read.

    The answer is JSON, or has a JSON object in it, such as one between words or in a code block.
    """
    decoder = json.JSONDecoder()
    for start in (place.start() for place in re.finditer("{", answer)):
        try:
            found, _ = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue
        value = found.get(name)
        return value if is_tag(value) else None
    return None


@dataclass(frozen=True)
class Ask:
    """Row-wise: the tags of a batch's prompts, as the model tells them."""

    step: Tagger

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if not isinstance(model, Writes):
            raise DataError(
                f"{model.name or type(model).__name__} generates no text; give a model of the kind "
                "causal-lm, generative-judge or endpoint"
            )
        ids = batch.column("id").to_pylist()
        shown = [conversation(messages or []) for messages in batch.column("prompt").to_pylist()]
        if self.step.longest is not None:
            long = [row for row, text in zip(ids, shown, strict=True) if self._cuts(text)]
            notice(CUT, long, "changed")
            shown = [text[-self.step.longest :] for text in shown]
        told = self._told(model, shown)
        columns: dict[str, Array] = {}
        lacking: dict[str, Array] = {}
        for name, dimension in self.step.vocabulary().items():
            vocabulary = Vocabulary(name, dimension)
            values = [parsed(told[name, text], name) for text in shown]
            encoded = encode(from_values(values, ids, name), vocabulary)
            self._tell(name, [told[name, text] for text in shown], encoded.missing, ids)
            tell_unknown(name, {v: [ids[r] for r in rows] for v, rows in encoded.unknown.items()})
            columns |= dict(zip(vocabulary.columns, encoded.has.T, strict=True))
            lacking[f"missing.{name}"] = encoded.missing
        return columns | lacking

    def _cuts(self, text: str) -> bool:
        return self.step.longest is not None and len(text) > self.step.longest

    def _told(self, model: Writes, shown: Sequence[str]) -> dict[tuple[str, str], str]:
        """The answer about each dimension and each different prompt."""
        dimensions = self.step.vocabulary()
        wanted = [(name, text) for text in dict.fromkeys(shown) for name in dimensions]
        prompts = [question(self.step.template, n, dimensions[n], text) for n, text in wanted]
        found = model.generate(prompts, self.step.max_new_tokens) if prompts else []
        return dict(zip(wanted, found, strict=True))

    def _tell(self, name: str, told: Sequence[str], missing: Array, ids: Sequence[str]) -> None:
        lacking = [place for place, is_so in enumerate(missing) if is_so]
        silent = [place for place in lacking if not told[place].strip()]
        spoken = [place for place in lacking if told[place].strip()]
        notice(f"no answer about {name}", [ids[place] for place in silent])
        notice(f"no {name} could be read from the answer", [ids[place] for place in spoken])
