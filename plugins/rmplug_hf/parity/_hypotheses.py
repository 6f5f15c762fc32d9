"""Hypotheses of how other scores were made: each asks the model again in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug.arrays import Array
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.tokens._rendering import Style
from rmplug_hf.tokens._tokenizing import Tokenizing, Tokens

from ._asked import Asked, output_of, reward_of

if TYPE_CHECKING:
    from .parity import Parity

PLAIN = ("{prompt}{response}", "{prompt} {response}", "{prompt}\n{response}",
         "{prompt}\n\n{response}", "Human: {prompt}\n\nAssistant: {response}",
         "{response}")  # fmt: skip
"""Templates of scoring loops that write none of their own."""


@dataclass(frozen=True)
class Hypothesis:
    """A way in which scores may have been made: ``scores`` gives those (responses,) of rows."""

    setting: str
    """The setting, as a person would write or say it."""
    scores: Callable[[Asked], Array]
    rows: int = 8
    """Rows of data that show already that it is wrong, if it is."""
    bound: float | None = None
    """The largest difference with which it explains; by default what rounding allows."""


class ChangedTokens:
    """A converter of conversations into tokens that changes each row of another one."""

    def __init__(self, tokenizing: Tokenizing, change: Callable[[Tokens], Tokens]) -> None:
        self._tokenizing, self._change = tokenizing, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizing, name)

    def rows(self, responses: pa.RecordBatch, part: Any = "both", bounds: bool = False) -> Any:
        """Return the changed tokens of each row."""
        rows = self._tokenizing.rows(responses, part, True)
        most = self._tokenizing.max_length
        changed = [self._change(row) for row in rows]
        return [row if most is None or len(row) <= most else cut(row, most) for row in changed]


def cut(row: Tokens, length: int, side: str = "right") -> Tokens:
    """Cut a row as a tokenizer does that knows nothing of its parts."""
    at = np.arange(len(row))[-length:] if side == "left" else np.arange(len(row))[:length]
    return row.keep(at, 0, len(at))


def asked_with(model: Transformer, tokenizing: Any) -> Callable[[Asked], Array]:
    """Return the scores of the model with other tokens."""
    changed = copy(model)
    changed.loaded = replace(model.loaded, tokenizing=tokenizing)
    return lambda asked: reward_of(changed, asked.responses)


def of_tokens(model: Transformer, step: Parity) -> Iterator[Hypothesis]:
    """Yield hypotheses about what the model reads: beginning, end, template and system prompt."""
    tokenizing, tokenizer = model.loaded.tokenizing, model.loaded.tokenizer
    for setting, change in _changes(tokenizer):
        yield Hypothesis(setting, asked_with(model, ChangedTokens(tokenizing, change)))
    style = tokenizing.renderer.style
    if style.template == "chat":
        added = partial(_surrounded, *_specials(tokenizer))
        yield Hypothesis(
            "special tokens added to those of the chat template (add_special_tokens: true)",
            asked_with(model, ChangedTokens(tokenizing, added)),
        )
    styles = [(f"system: {text}", replace(style, system=text)) for text in step.systems]
    if style.system is not None:
        styles.append(("no system prompt", replace(style, system=None)))
    named = [*step.templates, "chat", "pair", *PLAIN]
    styles += [(f"template: {name!r}", Style(name, style.system)) for name in named]
    for setting, other in styles:
        if other == style or (other.template == "chat" and not tokenizer.chat_template):
            continue
        if other.template == "pair" and len(getattr(tokenizer, "model_input_names", ())) < 3:
            continue  # it has no segments
        written = Tokenizing(tokenizer, other, tokenizing.max_length, tokenizing.truncate)
        yield Hypothesis(setting, asked_with(model, written))
    if style.template == "chat":
        yield Hypothesis(
            "a prompt for a response after it (add_generation_prompt)",
            asked_with(model, Prompting(tokenizing)),
        )


class Prompting(ChangedTokens):
    """A converter that has the template ask for another response after each conversation."""

    def __init__(self, tokenizing: Tokenizing) -> None:
        super().__init__(tokenizing, lambda row: row)

    def rows(self, responses: pa.RecordBatch, part: Any = "both", bounds: bool = False) -> Any:
        """Return the tokens of conversations, each with the beginning of a turn after it."""
        prompt, answer = responses.column("prompt"), responses.column("response")
        both = [[*p, *a] for p, a in zip(prompt.to_pylist(), answer.to_pylist(), strict=True)]
        talks = pa.array(both, type=prompt.type)
        asked = pa.RecordBatch.from_arrays(
            [responses.column("id"), talks, answer], names=["id", "prompt", "response"]
        )
        return self._tokenizing.rows(asked, "prompt", bounds)


def _changes(tokenizer: Any) -> Iterator[tuple[str, Callable[[Tokens], Tokens]]]:
    """Yield the changes of single tokens that loops make by mistake, in words."""
    begins = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
    ends = {tokenizer.eos_token_id, tokenizer.sep_token_id} - {None}
    for token in sorted(begins):
        name = tokenizer.convert_ids_to_tokens(token)
        yield f"{name} twice at the beginning", partial(_with, token=token, first=True)
    yield "no special token at the beginning", partial(_without_first, begins)
    for token in sorted(ends):
        name = tokenizer.convert_ids_to_tokens(token)
        yield f"{name} once more at the end", partial(_with, token=token, first=False)
    yield "no special token at the end", partial(_without_last, ends)
    yield "nothing after the response", _without_ending
    yield "no special tokens (add_special_tokens: false)", partial(_without_both, begins, ends)


def _with(row: Tokens, token: int, first: bool) -> Tokens:
    segments = row.segments
    ids = np.r_[token, row.ids] if first else np.r_[row.ids, token]
    if segments is not None:
        segments = np.r_[segments[:1], segments] if first else np.r_[segments, segments[-1:]]
    return Tokens(ids, row.start + first, row.end + first, segments)


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and after a text."""
    alone: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a", add_special_tokens=True)["input_ids"]
    before = whole.index(alone[0])
    return whole[:before], whole[before + len(alone) :]


def _surrounded(before: list[int], after: list[int], row: Tokens) -> Tokens:
    for token in reversed(before):
        row = _with(row, token, first=True)
    for token in after:
        row = _with(row, token, first=False)
    return row


def _without_first(tokens: set[int], row: Tokens) -> Tokens:
    gone = int(len(row) > 1 and int(row.ids[0]) in tokens)
    return row.keep(np.arange(gone, len(row)), max(row.start - gone, 0), row.end - gone)


def _without_last(tokens: set[int], row: Tokens) -> Tokens:
    """Return a row without the last special token after the response, and what follows that."""
    specials = np.flatnonzero(np.isin(row.ids, list(tokens)))
    last = int(specials[-1]) if len(specials) and specials[-1] >= row.end else len(row)
    return row.keep(np.arange(last), row.start, min(row.end, last))


def _without_both(begins: set[int], ends: set[int], row: Tokens) -> Tokens:
    return _without_last(ends, _without_first(begins, row))


def _without_ending(row: Tokens) -> Tokens:
    return row.keep(np.arange(row.end), row.start, row.end)


def of_numbers(model: Transformer, scores: Callable[[Asked], Array]) -> Iterator[Hypothesis]:
    """Yield hypotheses about what was done to the outputs, or which of them was recorded."""
    activations: dict[str, Callable[[Array], Array]] = {
        "sigmoid applied to the scores": lambda x: 1 / (1 + np.exp(-x)),
        "log-sigmoid applied to the scores": lambda x: -np.logaddexp(0, -x),
        "tanh applied to the scores": np.tanh,
        "scores with their sign changed": lambda x: -x,
    }
    for setting, change in activations.items():
        yield Hypothesis(setting, partial(_applied, change, scores))
    yield Hypothesis("chosen and rejected exchanged", partial(_exchanged, scores))
    if len(model.outputs) > 1:
        own = output_of(model.outputs)
        for index, name in enumerate(model.outputs):
            if index != own:
                yield Hypothesis(f"the output {name}", partial(_output, model, index, False))
        yield Hypothesis("softmax over the outputs", partial(_output, model, own, True))


def _applied(
    change: Callable[[Array], Array], scores: Callable[[Asked], Array], asked: Asked
) -> Array:
    return change(scores(asked))


def _output(model: Transformer, index: int, normalised: bool, asked: Asked) -> Array:
    scores = np.asarray(model.score(asked.responses), dtype=np.float64)
    matrix: Array = scores.reshape(asked.responses.num_rows, len(model.outputs))
    return (_softmax(matrix) if normalised else matrix)[:, index]


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _exchanged(scores: Callable[[Asked], Array], asked: Asked) -> Array:
    if asked.sides == 1:
        return np.full(asked.rows, np.nan)
    found = scores(asked)
    return np.concatenate([found[asked.rows :], found[: asked.rows]])
