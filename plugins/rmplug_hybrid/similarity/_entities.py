"""Named entities of the two responses of each pair, and how many they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, Pairs, notice, text_of
from rmplug.errors import did_you_mean, some
from rmplug.models.devices import device_of
from rmplug.models.hub import fetched
from rmplug.models.quiet import quiet

from ._model_folder import FILES, most_tokens, read_model
from ._spacy_pipelines import entity_labels, installed_pipeline, pipeline_in
from .entities import Entities

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Recogniser: TypeAlias = Callable[[Sequence[str]], list[list[str]]]
NONE = "no named entity in either response: entity_sim 1"
SIDES = ("chosen", "rejected")


def normalised(entity: str) -> str:
    """Lower case, letters and digits only, no leading article, single spaces."""
    kept = "".join(mark for mark in entity.casefold() if mark.isalnum() or mark.isspace())
    words = kept.split()
    return " ".join(words[1:] if words and words[0] in ("the", "a", "an") else words)


def as_original(entity: str) -> str:
    """As the original has it: ASCII letters, digits and spaces, without any ``the``."""
    return re.sub("[^0-9 a-zA-Z]", "", entity).replace("the", "").strip().lower()


def similarity(first: Iterable[str], second: Iterable[str], compat: str = "none") -> float:
    """How alike two lists of entities are, 0 to 1."""
    if compat == "original":
        one, other = (set(map(as_original, entities)) for entities in (first, second))
        shared = len(one & other)
        below = 2 * len(other) - shared
        return shared / below if below else 1.0
    one, other = ({normalised(e) for e in entities} - {""} for entities in (first, second))
    return len(one & other) / len(one | other) if one | other else 1.0


def compared(
    first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], compat: str, ids: Sequence[str]
) -> dict[str, Array]:
    """The column of similarities; pairs without any entity are counted."""
    pairs = list(zip(first, second, strict=True))
    bare = [name for name, (a, b) in zip(ids, pairs, strict=True) if not a and not b]
    notice(NONE, bare)
    return {"entity_sim": np.array([similarity(a, b, compat) for a, b in pairs], dtype=np.float64)}


@dataclass(frozen=True)
class Opening:
    """Opens what finds entities, once per process."""

    step: Entities

    def __call__(self) -> Recogniser:
        return SpacyRecogniser(self.step) if self.step.reads_spacy else TokenClassifier(self.step)


class TokenClassifier:
    """Finds entities with a model of transformers."""

    def __init__(self, step: Entities) -> None:
        from transformers import pipeline

        folder = step.path or fetched(str(step.name), step.revision, FILES)
        model, tokenizer = read_model(
            folder, "AutoModelForTokenClassification", step.dtype, step.device
        )
        known = sorted({re.sub("^[BILESU]-", "", label) for label in model.config.label2id} - {"O"})
        self.labels = _chosen(step.labels, known)
        most = tokenizer.model_max_length = most_tokens(model, tokenizer, None)
        with quiet():
            self.pipeline = pipeline(
                "token-classification",
                model=model,
                tokenizer=tokenizer,
                aggregation_strategy="simple",
                stride=most // 4,
                device=device_of(step.device),
                batch_size=step.batch_rows,
            )

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        found = self.pipeline(list(texts)) if texts else []
        return [
            [text[entry["start"] : entry["end"]] for entry in row if self._counts(entry)]
            for text, row in zip(texts, found, strict=True)
        ]

    def _counts(self, entry: Any) -> bool:
        return self.labels is None or entry["entity_group"] in self.labels


def _chosen(labels: Sequence[str] | None, known: Sequence[str]) -> frozenset[str] | None:
    odd = [label for label in labels or () if label not in known]
    if odd:
        raise DataError(
            f"the model has no label {odd[0]!r}{did_you_mean(odd[0], known)}; it has "
            f"{some(known, 20)}"
        )
    return None if labels is None else frozenset(labels)


class SpacyRecogniser:
    """Finds entities with a spaCy pipeline."""

    def __init__(self, step: Entities) -> None:
        name = step.spacy
        self.pipeline = installed_pipeline(name) if name else pipeline_in(Path(str(step.path)))
        self.labels = _chosen(step.labels, entity_labels(self.pipeline))
        self.batch_rows = step.batch_rows

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        read = self.pipeline.pipe(texts, batch_size=self.batch_rows)
        return [
            [e.text for e in document.ents if self.labels is None or e.label_ in self.labels]
            for document in read
        ]


@dataclass(frozen=True)
class Compare:
    """Row-wise: entities found in a batch's responses, compared; each text is read once."""

    compat: str

    def __call__(self, recognise: Recogniser, batch: pa.RecordBatch) -> dict[str, Array]:
        sides = [[t or "" for t in text_of(batch.column(side)).to_pylist()] for side in SIDES]
        texts = [text for text in dict.fromkeys([*sides[0], *sides[1]]) if text.strip()]
        found = dict(zip(texts, recognise(texts), strict=True))
        first, second = ([found.get(text, []) for text in side] for side in sides)
        return compared(first, second, self.compat, batch.column("id").to_pylist())


@dataclass(frozen=True)
class CompareGiven:
    """Row-wise: entities that are in two columns, compared."""

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
        return compared(first, second, self.compat, ids)


def check_given(data: Pairs, columns: Sequence[str]) -> None:
    """The columns must be there, and hold lists of texts."""
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
