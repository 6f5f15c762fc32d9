"""Small data of each sort, and a reward model with scores that are easy to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rmplug.artifacts import (
    Features,
    Identified,
    Pairs,
    Responses,
    RewardModel,
)
from rmplug.data.messages import text_of
from rmplug.data.rows import Mapped

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TEXTS = (
    ("What is the capital of Australia?", "Canberra.", "Sydney, the largest city."),
    ("Name a prime above 10.", "11 is prime.", "12, since it is above 10!"),
    (
        "Write a haiku.",
        "Rain on the tin roof\nA kettle answers the storm\nI pour for us both",
        "No.",
    ),
    ("How do I boil an egg?", "1. Boil water\n2. **Eight minutes**\n3. Cool it", "Just boil it."),
    ("Grüße auf Japanisch?", "こんにちは", "Hallo 👋"),
    (
        "What is the capital of Australia?",
        "It is Canberra, since 1913.",
        "I cannot help with that.",
    ),
    ("Is 91 prime?", "No: 91 = 7 × 13.", "Great question! Yes, 91 is prime."),
)


def small_pairs(rows: int = 7) -> Pairs:
    """Return pairs that differ in length, markup, script and prompt; two share a prompt."""
    texts = [_TEXTS[row % len(_TEXTS)] for row in range(rows)]
    columns = {
        "id": [f"pair-{row}" for row in range(rows)],
        "prompt": [text[0] for text in texts],
        "chosen": [text[1] for text in texts],
        "rejected": [text[2] for text in texts],
        "subset": [("facts", "writing")[row % 2] for row in range(rows)],
    }
    return Pairs(_strings(columns), "pairs")


def small_responses(rows: int = 14) -> Responses:
    """Return the texts of ``small_pairs`` as responses, with a label and a rating that is missing
    once."""
    columns: dict[str, list[Any]] = {"id": [], "prompt": [], "response": [], "label": []}
    ratings: list[float | None] = []
    for row in range(rows):
        prompt, *texts = _TEXTS[row // 2 % len(_TEXTS)]
        columns["id"].append(f"pair-{row // 2}/{('chosen', 'rejected')[row % 2]}")
        columns["prompt"].append(prompt)
        columns["response"].append(texts[row % 2])
        columns["label"].append(str(1 - row % 2))
        ratings.append(None if row == 3 else float(4 - 2 * (row % 2) + row % 3 / 10))
    import pyarrow as pa

    table = _strings(columns)
    labels = table["label"].cast(pa.int64())
    table = table.set_column(table.schema.get_field_index("label"), "label", labels)
    table = table.append_column("ratings.helpfulness", pa.array(ratings, type=pa.float64()))
    return Responses(table, "responses")


def small_features(data: Identified, name: str = "words") -> Features:
    """Return three numeric columns for any data, made from the text of its rows."""
    features = Features(Mapped(data.rows, _count), name)
    return Features(features.table, name)


def _count(batch: pa.RecordBatch) -> dict[str, Any]:
    import pyarrow.compute as pc

    names = [n for n in ("chosen", "rejected", "response") if n in batch.schema.names]
    lengths = [pc.utf8_length(text_of(batch.column(name))) for name in names]
    first, last = lengths[0], lengths[-1]
    margin = pc.subtract(first, last) if len(names) == 2 else first
    return {"first": first, "last": last, "margin": pc.cast(margin, "float64")}


def _strings(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array(values, type=pa.string()) for name, values in columns.items()})


class LengthModel(RewardModel):
    """A reward model with scores that are easy to predict: a hundredth of the response's
    characters."""

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return scores of shape (rows,)."""
        import numpy as np
        import pyarrow.compute as pc

        lengths = pc.utf8_length(text_of(responses.column("response")))
        return np.asarray(lengths, dtype=np.float64) / 100
