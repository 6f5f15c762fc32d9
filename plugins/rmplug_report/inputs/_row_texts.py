"""The beginnings of the texts of single rows, by id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Pairs, Responses
from rmplug.data.messages import text_of

SIDES = ("chosen", "rejected")


def texts_of(data: Sequence[Pairs | Responses], ids: Collection[str], width: int) -> dict[str, str]:
    """Return prompt and responses of these rows, each cut to ``width`` characters: of pairs, of
    responses, and of one response of a pair (``<pair id>/chosen``)."""
    found: dict[str, str] = {}
    for one in data:
        wanted = {key for key in ids if key not in found}
        found |= _of_responses(one, wanted, width) if isinstance(one, Responses) else {}
        found |= _of_pairs(one, wanted, width) if isinstance(one, Pairs) else {}
    return found


def _of_responses(data: Responses, ids: Collection[str], width: int) -> dict[str, str]:
    table = _rows(data, ids)
    prompts, responses = (_cut(table[name], width) for name in ("prompt", "response"))
    both = zip(table["id"].to_pylist(), prompts, responses, strict=True)
    return {key: f"{prompt} → {response}" for key, prompt, response in both}


def _of_pairs(data: Pairs, ids: Collection[str], width: int) -> dict[str, str]:
    pairs = {key.rpartition("/")[0] if key.endswith(tuple(f"/{s}" for s in SIDES)) else key
             for key in ids}  # fmt: skip
    table = _rows(data, {*ids, *pairs})
    prompts, *sides = (_cut(table[name], width) for name in ("prompt", *SIDES))
    texts: dict[str, str] = {}
    for key, prompt, *both in zip(table["id"].to_pylist(), prompts, *sides, strict=True):
        texts[key] = f"{prompt} → {both[0]} | {both[1]}"
        texts |= {f"{key}/{s}": f"{prompt} → {t}" for s, t in zip(SIDES, both, strict=True)}
    return {key: text for key, text in texts.items() if key in ids}


def _rows(data: Pairs | Responses, ids: Collection[str]) -> pa.Table:
    at = pc.is_in(data["id"], value_set=pa.array(sorted(ids), pa.string()))
    return data.take(np.flatnonzero(np.asarray(at))).table


def _cut(column: Any, width: int) -> list[str]:
    texts = text_of(column).to_pylist()
    plain = [" ".join(str(text or "").split()) for text in texts]
    return [text if len(text) <= width else f"{text[: width - 1]}…" for text in plain]
