from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from rmplug import Responses
from rmplug.testing import small_responses
from rmplug.testing.tiny_models import tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny("llama", labels=3)``: the folder of a tiny model, made once per session."""
    folder = tmp_path_factory.mktemp("tiny")
    return lambda architecture, **options: tiny_model(architecture, folder, **options)


@pytest.fixture(scope="session")
def talks():
    """Conversations of one turn and of several, one with a system prompt, of many lengths."""
    single = small_responses(10).table.to_pylist()
    rows = [
        {"id": row["id"], "prompt": row["prompt"], "response": row["response"]} for row in single
    ]
    turns = [("user", "Is 91 prime?"), ("assistant", "Yes."), ("user", "Are you sure? " * 9)]
    rows.append(conversation("several", turns, "No: 91 = 7 × 13. " * 6))
    rows.append(conversation("short", turns[:1], "No."))
    rows.append(conversation("system", [("system", "Be brief."), *turns], "Sorry: it is not."))
    return Responses(columns(rows))


def conversation(name, turns, answer):
    return {
        "id": name,
        "prompt": [{"role": role, "content": content} for role, content in turns],
        "response": [{"role": "assistant", "content": answer}],
    }


def columns(rows):
    import pyarrow as pa

    from rmplug.data.messages import message_type

    types = {"id": pa.string(), "prompt": message_type(), "response": message_type()}
    return pa.table({n: pa.array([row[n] for row in rows], type=t) for n, t in types.items()})
