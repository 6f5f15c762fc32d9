"""Named entities of the two responses of each pair, and the share they have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError, Pairs, notice
from rmplug.arrays import Array
from rmplug.errors import did_you_mean, some

from ._recognisers import Recogniser
from ._texts import read_texts

NONE = "no named entity in either response: entity_sim 1"
SIDES = ("chosen", "rejected")


def normalise_entity(entity: str) -> str:
    """Keep letters and digits, in lower case, without a leading article, with single spaces."""
    kept = "".join(mark for mark in entity.casefold() if mark.isalnum() or mark.isspace())
    words = kept.split()
    return " ".join(words[1:] if words and words[0] in ("the", "a", "an") else words)


def normalise_as_original(entity: str) -> str:
    """Normalise as the original does: ASCII letters, digits and spaces, without any ``the``."""
    return re.sub("[^0-9 a-zA-Z]", "", entity).replace("the", "").strip().lower()


def compute_similarity(first: Iterable[str], second: Iterable[str], compat: str = "none") -> float:
    """Compute the similarity of two lists of entities, 0 to 1."""
    if compat == "original":
        one, other = (set(map(normalise_as_original, entities)) for entities in (first, second))
        shared = len(one & other)
        below = 2 * len(other) - shared
        return shared / below if below else 1.0
    one, other = ({normalise_entity(e) for e in entities} - {""} for entities in (first, second))
    return len(one & other) / len(one | other) if one | other else 1.0


def compare_entities(
    first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], compat: str, ids: Sequence[str]
) -> dict[str, Array]:
    """Compute the column of similarities; pairs without any entity are counted."""
    pairs = list(zip(first, second, strict=True))
    bare = [name for name, (a, b) in zip(ids, pairs, strict=True) if not a and not b]
    notice(NONE, bare)
    return {
        "entity_sim": np.array(
            [compute_similarity(a, b, compat) for a, b in pairs], dtype=np.float64
        )
    }


@dataclass(frozen=True)
class EntityComparison:
    """A row-wise comparison of the entities in a batch's responses; each text is read once."""

    compat: str

    def __call__(self, recognise: Recogniser, batch: pa.RecordBatch) -> dict[str, Array]:
        sides = [read_texts(batch, side) for side in SIDES]
        texts = [text for text in dict.fromkeys([*sides[0], *sides[1]]) if text.strip()]
        entities_of = dict(zip(texts, recognise(texts), strict=True))
        first, second = ([entities_of.get(text, []) for text in side] for side in sides)
        return compare_entities(first, second, self.compat, batch.column("id").to_pylist())


@dataclass(frozen=True)
class ListedEntityComparison:
    """A row-wise comparison of the entities in two columns."""

    columns: tuple[str, str]
    compat: str

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Array]:
        ids = batch.column("id").to_pylist()
        first, second = (batch.column(name).to_pylist() for name in self.columns)
        odd = [n for n, a, b in zip(ids, first, second, strict=True) if a is None or b is None]
        if odd:
            raise DataError(
                f"{len(odd)} rows have no list of entities in {' or '.join(self.columns)} "
                f"({some(odd)}); an empty list says that there are none"
            )
        return compare_entities(first, second, self.compat, ids)


def check_entity_columns(data: Pairs, columns: Sequence[str]) -> None:
    """Check that the columns are there, and hold lists of texts."""
    schema = data.rows.schema
    for name in columns:
        if name not in schema.names:
            raise DataError(
                f"{data.name} has no column {name!r}{did_you_mean(name, schema.names)}; it has "
                f"{some(schema.names, 20)}"
            )
        kind = schema.field(name).type
        inside = getattr(kind, "value_type", None)
        if inside is None or not (pa.types.is_string(inside) or pa.types.is_null(inside)):
            raise DataError(f"column {name} is {kind}; entities are lists of texts")
