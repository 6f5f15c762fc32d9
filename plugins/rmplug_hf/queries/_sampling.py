"""The sampling of responses: a batch of prompts at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rmplug import DataError, Pairs, Responses, RewardModel, notice
from rmplug.data.messages import message_type
from rmplug.models.text_generator import TextSampler

if TYPE_CHECKING:
    from .sampling import SampleResponses

BATCH = 64
"""Prompts whose responses are written at once."""
KEPT = ("group", "subset")


def sampled(
    step: SampleResponses, policy: RewardModel, data: Pairs | Responses, seed: int
) -> Iterator[pa.Table]:
    """Yield tables of sampled responses, at least one."""
    model, name = policy.open(), policy.name
    if not isinstance(model, TextSampler):
        raise DataError(
            f"{name or type(model).__name__} writes no responses; name a causal-lm, or what dpo, "
            "grpo, rloo or online-dpo has trained"
        )
    names = [each for each in KEPT if each in data.columns]
    yield _table([], names)
    for rows in distinct(data, names):
        prompts = [row["prompt"] for row in rows]
        texts = model.sample(
            prompts, step.num_generations, step.max_completion_length, step.temperature, seed
        )
        full = [row["id"] for row, drawn in zip(rows, texts, strict=True) if not drawn]
        notice("prompt leaves no room for a response", full, "dropped")
        made = [
            {**row, "id": f"{row['id']}/{number}", "response": text, "model": name}
            for row, drawn in zip(rows, texts, strict=True)
            for number, text in enumerate(drawn, 1)
        ]
        notice("sampled response is empty", [r["id"] for r in made if not r["response"]])
        yield _table(made, names)


def distinct(data: Pairs | Responses, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the first row of each distinct prompt, some at a time."""
    seen: set[bytes] = set()
    for batch in data.batches(BATCH):
        new: dict[bytes, dict[str, Any]] = {}
        for row in batch.select(["id", "prompt", *names]).to_pylist():
            key = hashlib.blake2b(json.dumps(row["prompt"]).encode(), digest_size=16).digest()
            if key not in seen:
                new.setdefault(key, row)
        seen.update(new)
        if new:
            yield [*new.values()]


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pa.Table:
    columns = {name: pa.string() for name in ("id", *names, "response", "model")}
    types: dict[str, pa.DataType] = {**columns, "prompt": message_type()}
    return pa.table(
        {name: pa.array([row[name] for row in rows], type=kind) for name, kind in types.items()}
    )
