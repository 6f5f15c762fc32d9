"""Questions about prompts, and the tags in a language model's answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, notice
from rmplug.arrays import Array
from rmplug.models.text_generator import Message, TextGenerator
from rmplug_hybrid.names.dimensions import Dimension

from ._encoding import Vocabulary, encode, is_tag, make_lists, report_unknown

CUT = "prompt cut to the characters that the tagger shows (longest)"


def write_conversation(messages: Sequence[Message]) -> str:
    """Write messages with who speaks, each ended by a line break."""
    return "".join(f"<|{turn['role']}|>\n{turn['content']}\n" for turn in messages)


def write_choices(name: str, dimension: Dimension) -> str:
    """Write the allowed answers, and their form."""
    values = ", ".join((*dimension.values, *dimension.others))
    if dimension.form == "open-set":
        what, shown = "Name each in a few words, or none.", '["..."]'
    elif dimension.form == "scalar":
        what, shown = f"Choose one of: {values}.", json.dumps(dimension.values[0])
    else:
        what, shown = f"Choose all that apply: {values}.", json.dumps([dimension.values[0]])
    return f'{what} Answer with JSON only, in this form: {{"{name}": {shown}}}'


def write_question(template: str, name: str, dimension: Dimension, shown: str) -> str:
    """Write the text that is sent about one prompt and one dimension."""
    asked = dimension.question or f"What is the {name.replace('_', ' ')} of the text below?"
    parts = {
        "question": asked,
        "answers": write_choices(name, dimension),
        "dimension": name,
        "conversation": shown,
    }
    return re.sub(r"{(\w+)}", lambda field: parts[field[1]], template)


def parse_answer(answer: str, name: str) -> str | list[str] | None:
    """Read the value that an answer gives for a dimension; None where there is none to read.

    The answer is JSON, or has a JSON object in it, such as one between words or in a code block.
    """
    decoder = json.JSONDecoder()
    for start in (brace.start() for brace in re.finditer("{", answer)):
        try:
            parsed, _ = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue
        value = parsed.get(name)
        return value if is_tag(value) else None
    return None


@dataclass(frozen=True)
class PromptTagging:
    """A row-wise query for the tags that a model gives the prompts of a batch."""

    dimensions: Mapping[str, Dimension]
    template: str
    longest: int | None
    max_new_tokens: int

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if not isinstance(model, TextGenerator):
            raise DataError(
                f"{model.name or type(model).__name__} generates no text; give a model of the kind "
                "causal-lm, generative-judge or endpoint"
            )
        ids = batch.column("id").to_pylist()
        shown = [
            write_conversation(messages or []) for messages in batch.column("prompt").to_pylist()
        ]
        if self.longest is not None:
            long = [row for row, text in zip(ids, shown, strict=True) if len(text) > self.longest]
            notice(CUT, long, "changed")
            shown = [text[-self.longest :] for text in shown]
        answered = self._ask(model, shown)
        columns: dict[str, Array] = {}
        lacking: dict[str, Array] = {}
        for name, dimension in self.dimensions.items():
            vocabulary = Vocabulary(name, dimension)
            texts = [answered[name, text] for text in shown]
            values = [parse_answer(text, name) for text in texts]
            encoded = encode(make_lists(values, ids, name), vocabulary)
            _report_missing(name, texts, encoded.missing, ids)
            report_unknown(name, {v: [ids[r] for r in rows] for v, rows in encoded.unknown.items()})
            columns |= dict(zip(vocabulary.columns, encoded.has.T, strict=True))
            lacking[f"missing.{name}"] = encoded.missing
        return columns | lacking

    def _ask(self, model: TextGenerator, shown: Sequence[str]) -> dict[tuple[str, str], str]:
        """Ask about each dimension and each different prompt."""
        wanted = [(name, text) for text in dict.fromkeys(shown) for name in self.dimensions]
        prompts = [
            write_question(self.template, name, self.dimensions[name], text)
            for name, text in wanted
        ]
        texts = model.generate(prompts, self.max_new_tokens) if prompts else []
        return dict(zip(wanted, texts, strict=True))


def _report_missing(name: str, texts: Sequence[str], missing: Array, ids: Sequence[str]) -> None:
    """Name the rows without an answer, and those whose answer could not be read."""
    lacking = np.flatnonzero(missing).tolist()
    notice(f"no answer about {name}", [ids[row] for row in lacking if not texts[row].strip()])
    spoken = [ids[row] for row in lacking if texts[row].strip()]
    notice(f"no {name} could be read from the answer", spoken)
