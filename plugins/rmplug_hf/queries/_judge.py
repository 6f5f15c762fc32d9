"""Questions put to a language model, and verdicts read from the next token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, notice
from rmplug.arrays import Array
from rmplug.models.text_generator import Message
from rmplug_hf.loading._loading import Loaded
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._conversations import Conversation, conversations_of
from rmplug_hf.tokens._reads import last_token
from rmplug_hf.tokens._tokenizing import CUT_PROMPT, Tokenizing, Tokens

from ._generation import Writer
from ._likelihood import load_language_model

if TYPE_CHECKING:
    from .judges import GenerativeJudge

TOO_LONG = "question longer than the judge reads, even without its conversation: no verdict"
UNSURE = "less than half of the judge's next-token probability is on the labels"
SWAYED = "the judge's verdict depends on the order of the responses"


@dataclass(frozen=True)
class Question:
    """A question about a row: a text with placeholders, and their values."""

    text: str
    prompt: str
    others: Mapping[str, str]

    def conversation(self) -> Conversation:
        """Return the question as a message of the user."""
        values = {"prompt": self.prompt, **self.others}
        asked = re.sub(r"{(\w+)}", lambda match: values[match[1]], self.text)
        return Conversation([{"role": "user", "content": asked}], [])


def load_judge(step: GenerativeJudge) -> Judge:
    """Load the judge of a step; its labels must differ in their first token."""
    return Judge(load_language_model(step), step)


class Judge(Writer):
    """A language model that rates single responses, and compares two in one question."""

    antisymmetric = True

    def __init__(self, loaded: Loaded, step: GenerativeJudge) -> None:
        super().__init__(loaded)
        self.step = step
        self.asking = loaded.tokenizing.without_limit()
        self.worth = np.array(list(step.scale.values()))
        self.scale = label_tokens(self.asking, list(step.scale))
        self.labels = label_tokens(self.asking, step.labels) if step.pairwise else []

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return the expected value of the answers, of shape (rows,); NaN where there is none."""
        talks = conversations_of(responses)
        questions = [
            Question(self.step.single, self._written(prompt), {"response": as_text(response)})
            for prompt, response in talks
        ]
        answers = self._answers(questions, responses.column("id").to_pylist(), self.scale)
        scores: Array = np.exp(answers) @ self.worth
        return scores

    def compare(self, pairs: pa.RecordBatch) -> Array | None:
        """Return margins of shape (rows,): the logit of the probability that chosen is better,
        averaged over both orders; NaN where there is no verdict."""
        if self.step.pairwise is None:
            return None
        ids = pairs.column("id").to_pylist()
        sides = [_texts(pairs, side) for side in ("chosen", "rejected")]
        prompts = [self._written(talk.prompt) for talk in conversations_of(pairs, "prompt")]
        questions = [
            Question(self.step.pairwise, prompt, {"a": a, "b": b})
            for first, second in (sides, sides[::-1])
            for prompt, a, b in zip(prompts, first, second, strict=True)
        ]
        answers = self._answers(questions, ids * 2, self.labels)
        one, other = answers[: len(ids)], answers[len(ids) :, ::-1]
        both = np.isfinite(one[:, 0]) & np.isfinite(other[:, 0])
        swayed = both & ((one[:, 0] > one[:, 1]) != (other[:, 0] > other[:, 1]))
        notice(SWAYED, [name for name, is_so in zip(ids, swayed, strict=True) if is_so])
        sums = np.logaddexp(one[both], other[both])
        margins = np.full(len(ids), np.nan)
        margins[both] = sums[:, 0] - sums[:, 1]
        return margins

    def exactly(self) -> None:
        """Return None: a verdict that is written differs for reasons other than rounding."""

    def _written(self, prompt: Sequence[Message]) -> str:
        return as_text(prompt, self.step.turn, self.step.roles)

    def _answers(
        self, questions: Sequence[Question], ids: Sequence[str], labels: Sequence[int]
    ) -> Array:
        """Return the log-share of each label among the labels, of shape (rows, labels); NaN for a
        question that is too long."""
        logs = np.full((len(questions), len(labels)), np.nan)
        fitted = self._fitted(questions, ids)
        short = [n for n, row in enumerate(fitted) if row is not None]
        if short:
            rows = [row for row in fitted if row is not None]
            columns = torch.tensor(labels, device=self.loaded.device)
            asked = {"log-probs": "next", "of": list(labels)}
            logs[short] = self.run(rows, lambda b: self._next(b)[:, columns], asked, last_token)
        total = np.full((len(questions), 1), np.nan)
        total[short] = np.logaddexp.reduce(logs[short], axis=1, keepdims=True)
        unsure = total[:, 0] < np.log(0.5)
        notice(UNSURE, sorted({name for name, odd in zip(ids, unsure, strict=True) if odd}))
        shares: Array = logs - total
        return shares

    def _next(self, batch: Batch) -> torch.Tensor:
        """Log-probabilities of the next token, of shape (rows, vocabulary)."""
        logits = self.loaded.model(**batch.arguments()).logits
        last = logits[torch.arange(len(batch.lengths), device=logits.device), batch.lengths - 1]
        log_probs: torch.Tensor = last.float().log_softmax(-1)
        return log_probs

    def _fitted(self, questions: Sequence[Question], ids: Sequence[str]) -> list[Tokens | None]:
        """Tokenize questions, none of them longer than the model takes; None for one that is too
        long even without its conversation, which is named."""
        talks = [question.conversation() for question in questions]
        whole = self.asking.encode(talks, ids, "prompt")
        rows: list[Tokens | None] = [*whole]
        most = self.loaded.tokenizing.max_length
        if most is None:
            return rows
        long = [n for n, row in enumerate(whole) if len(row) > most]
        if long and self.step.truncate == "error":
            raise DataError(
                f"{len(long)} of {len(rows)} questions are longer than {most} tokens (first: "
                f"{ids[long[0]]}); raise max_length, or set truncate: prompt-left"
            )
        for n in long:
            rows[n] = self._shortened(questions[n], whole[n], ids[n], most)
        lost = dict.fromkeys(ids[n] for n in long if rows[n] is None)
        if lost:
            self._check_bare(questions[long[0]], most)
        notice(TOO_LONG, list(lost))
        cut = dict.fromkeys(ids[n] for n in long if ids[n] not in lost)
        notice(CUT_PROMPT, list(cut), "changed")
        return rows

    def _check_bare(self, question: Question, most: int) -> None:
        """Refuse a question whose own words are longer than the judge reads."""
        bare = replace(question, prompt="", others=dict.fromkeys(question.others, ""))
        [row] = self.asking.encode([bare.conversation()], ["the question"], "prompt")
        if len(row) > most:
            raise DataError(
                f"the question has {len(row)} tokens without any conversation or response, more "
                f"than {most}; raise max_length, or ask a shorter one"
            )

    def _shortened(self, question: Question, row: Tokens, name: str, most: int) -> Tokens | None:
        """Shorten the conversation of a question to as much of its end as fits; None where not even
        the rest of the question does."""
        if not self.loaded.tokenizer.is_fast:
            raise DataError(
                f"the question about {name} has {len(row)} tokens, more than {most}, and only a "
                "fast tokenizer (tokenizer.json) tells where to cut it; raise max_length"
            )
        while len(row) > most:
            if not question.prompt:
                return None
            spans = self.loaded.tokenizer(
                question.prompt, add_special_tokens=False, return_offsets_mapping=True
            )["offset_mapping"]
            over = len(row) - most
            cut = max(1, spans[over][0]) if over < len(spans) else len(question.prompt)
            question = replace(question, prompt=question.prompt[cut:])
            [row] = self.asking.encode([question.conversation()], [name], "prompt")
        return row


def as_text(
    messages: Sequence[Message], turn: str | None = None, roles: Mapping[str, str] | None = None
) -> str:
    """Join messages to one text: a single one unchanged, several with their roles."""
    if len(messages) == 1 and turn is None:
        return messages[0]["content"]
    names = roles or {}
    return "\n\n".join(
        (turn or "{role}: {content}")
        .replace("{role}", names.get(message["role"], message["role"]))
        .replace("{content}", message["content"])
        for message in messages
    )


def _texts(pairs: pa.RecordBatch, side: str) -> list[str]:
    columns = [pairs.column(name) for name in ("id", "prompt", side)]
    names = ["id", "prompt", "response"]
    rows = pa.RecordBatch.from_arrays(columns, names=names)
    return [as_text(talk.response) for talk in conversations_of(rows)]


def label_tokens(asking: Tokenizing, labels: Sequence[str]) -> list[int]:
    """Return the first token of each label at the start of an answer."""
    question = Conversation([{"role": "user", "content": "?"}], [])
    text = asking.text(question, "a question", "prompt", True)
    answered = [text._replace(text=text.text + label) for label in labels]
    before, *rows = asking.tokenize([text, *answered], False)
    ids = []
    for label, row in zip(labels, rows, strict=True):
        size = len(before)
        if len(row) <= size or not np.array_equal(row.ids[:size], before.ids):
            raise DataError(
                f"the label {label!r} cannot be read as the next token: with the end of the "
                f"question, {text.text[-12:]!r}, it becomes one token; change what the template "
                "writes last, or the label"
            )
        ids.append(int(row.ids[size]))
    if len(set(ids)) < len(ids):
        raise DataError(
            f"the labels {', '.join(map(repr, labels))} begin with the same token; take labels "
            "that differ in their first one"
        )
    return ids
