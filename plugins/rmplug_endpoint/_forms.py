"""The forms in which servers are asked for scores and states, and in which they answer.

As they stand in the servers' sources in 2026: vLLM 0.8 to 0.18 (``/classify``, ``/score``,
``/pooling``), SGLang 0.4 to 0.5 (``/classify``, ``/encode``), OpenRLHF 0.8 to 0.9
(``/get_reward``), and OpenAI's ``/v1/embeddings``. What is not used, and why: ``/v1/classify`` of
SGLang answers with a softmax, which is 1 for every response where a model has one output, and its
``/v1/score`` gives probabilities of tokens to come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from ._conversations import Conversation, Written

Fields: TypeAlias = dict[str, Any]
Number: TypeAlias = float | None
"""A number in JSON; null, as some servers write NaN, is NaN."""


@dataclass(frozen=True)
class Given:
    """What an answer gave: the name of the model, empty where it names none, and the numbers of
    each row by the index that the answer gives it."""

    model: str
    rows: Mapping[int, Any]


@dataclass(frozen=True)
class Form:
    """The path of an interface, its name in messages, the ways to write a conversation that it
    takes, the fields of a request, and the shape of an answer."""

    path: str
    speaks: str
    takes: frozenset[Written]
    fields: Callable[[Sequence[Conversation], bool], Fields]
    shape: type[Any]
    given: Callable[[Any], Given]
    names_model: bool = True


class _Indexed(BaseModel):
    index: int


class _Class(_Indexed):
    probs: list[Number]


class _Score(_Indexed):
    score: Number


class _Pooled(_Indexed):
    data: list[Number] | list[list[Number]]


class _Embedding(_Indexed):
    embedding: list[Number]


class Classes(BaseModel):
    """vLLM's answer to ``/classify``: ``probs`` are logits where no activation was applied."""

    model: str
    data: list[_Class]


class Scores(BaseModel):
    """vLLM's answer to ``/score``."""

    model: str
    data: list[_Score]


class Pooled(BaseModel):
    """vLLM's answer to ``/pooling``: one vector for each row, or one for each token."""

    model: str
    data: list[_Pooled]


class Embeddings(BaseModel):
    """OpenAI's answer to ``/embeddings``."""

    model: str
    data: list[_Embedding]


class Encoded(BaseModel):
    """A row of SGLang's answer to ``/classify`` and ``/encode``, which is a list."""

    embedding: list[Number]


class Rewards(BaseModel):
    """OpenRLHF's answer to ``/get_reward``: one number for each query, or a list of one."""

    rewards: list[Number | list[Number]]


def _input(rows: Sequence[Conversation]) -> Fields:
    """Write conversations as vLLM takes them: one as messages, or several texts or token ids."""
    if rows[0].written == "messages":
        [row] = rows
        return {"messages": row.value, "add_generation_prompt": row.opened}
    return {"input": [row.value for row in rows]}


def _activated(activation: bool) -> Fields:
    """Ask for an activation or none: ``use_activation`` since vLLM 0.11.1, ``activation`` before,
    from 0.10.1 on; older ones go by the server's own settings, and each ignores the other name."""
    return {"use_activation": activation, "activation": activation}


def _classify(rows: Sequence[Conversation], activation: bool) -> Fields:
    return {**_input(rows), **_activated(activation)}


def _score(rows: Sequence[Conversation], activation: bool) -> Fields:
    first, second = zip(*(row.value for row in rows), strict=True)
    return {"text_1": list(first), "text_2": list(second), **_activated(activation)}


def pooling_fields(task: str) -> Callable[[Sequence[Conversation], bool], Fields]:
    """Return the fields of ``/pooling`` for a task of vLLM (``classify``, ``token_classify``,
    ``embed``, ``token_embed``); of states, an activation is their scaling to length 1."""

    def fields(rows: Sequence[Conversation], activation: bool) -> Fields:
        asked = {"task": task, "encoding_format": "float"}
        return {**_input(rows), **_activated(activation), **asked}

    return fields


def _sglang(rows: Sequence[Conversation], _: bool) -> Fields:
    name = "input_ids" if rows[0].written == "tokens" else "text"
    return {name: [row.value for row in rows]}


def _openrlhf(rows: Sequence[Conversation], _: bool) -> Fields:
    texts = [row.value for row in rows]
    return {"query": texts, "prompts": [row.prompt for row in rows], "labels": [""] * len(rows)}


def _embeddings(rows: Sequence[Conversation], activation: bool) -> Fields:
    return {**_input(rows), **_activated(activation), "encoding_format": "float"}


def _indexed(name: str) -> Callable[[Any], Given]:
    def given(answer: Any) -> Given:
        rows = {item.index: getattr(item, name) for item in answer.data}
        # two rows of one index would hide that another is missing
        return Given(answer.model, rows if len(rows) == len(answer.data) else {})

    return given


def _listed(answer: Sequence[Encoded]) -> Given:
    return Given("", {index: row.embedding for index, row in enumerate(answer)})


def _rewards(answer: Rewards) -> Given:
    return Given("", dict(enumerate(answer.rewards)))


ANY: frozenset[Written] = frozenset({"messages", "text", "tokens"})
PLAIN: frozenset[Written] = frozenset({"text", "tokens"})
CLASSIFY = Form("/classify", "vLLM's /classify", ANY, _classify, Classes, _indexed("probs"))
SCORE = Form("/score", "vLLM's /score", frozenset({"pair"}), _score, Scores, _indexed("score"))
SGLANG = Form(
    "/classify", "SGLang's /classify", PLAIN, _sglang, list[Encoded], _listed, names_model=False
)
OPENRLHF = Form(
    "/get_reward", "OpenRLHF's /get_reward", frozenset({"text"}), _openrlhf, Rewards, _rewards,
    names_model=False,
)  # fmt: skip
ENCODE = Form(
    "/encode", "SGLang's /encode", PLAIN, _sglang, list[Encoded], _listed, names_model=False
)
EMBEDDINGS = Form(
    "/v1/embeddings", "OpenAI's /v1/embeddings", ANY, _embeddings, Embeddings,
    _indexed("embedding"),
)  # fmt: skip


def pooling(task: str) -> Form:
    """Return the form of vLLM's ``/pooling`` for a task."""
    speaks = f"vLLM's /pooling ({task})"
    return Form("/pooling", speaks, ANY, pooling_fields(task), Pooled, _indexed("data"))


SCORE_FORMS: Mapping[str, Form] = {
    "classify": CLASSIFY,
    "score": SCORE,
    "pooling": pooling("classify"),
    "token-pooling": pooling("token_classify"),
    "sglang": SGLANG,
    "openrlhf": OPENRLHF,
}


def as_number(value: Number) -> float:
    """Return a number of an answer; NaN for null."""
    return math.nan if value is None else float(value)
