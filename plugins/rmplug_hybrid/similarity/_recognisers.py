"""Named entities in texts, as a model of transformers or a spaCy pipeline finds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rmplug import DataError
from rmplug.errors import did_you_mean, some
from rmplug.models.devices import device_of
from rmplug.models.hub import fetched
from rmplug.models.quiet import quiet

from ._model_folder import FILES, count_readable_tokens, read_model
from ._spacy_pipelines import open_installed_pipeline, open_pipeline_folder, read_entity_labels

Recogniser: TypeAlias = Callable[[Sequence[str]], list[list[str]]]
"""Gives the entities of each text."""


class TokenClassifier:
    """A recogniser of entities by a model of transformers."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        labels: Sequence[str] | None,
        device: str,
        batch_rows: int,
    ) -> None:
        from transformers import pipeline

        available = sorted(
            {re.sub("^[BILESU]-", "", label) for label in model.config.label2id} - {"O"}
        )
        self.labels = _check_labels(labels, available)
        most = tokenizer.model_max_length = count_readable_tokens(model, tokenizer, None)
        with quiet():
            self.pipeline = pipeline(
                "token-classification",
                model=model,
                tokenizer=tokenizer,
                aggregation_strategy="simple",
                stride=most // 4,
                device=device_of(device),
                batch_size=batch_rows,
            )

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        entries = self.pipeline(list(texts)) if texts else []
        return [
            [text[entry["start"] : entry["end"]] for entry in row if self._counts(entry)]
            for text, row in zip(texts, entries, strict=True)
        ]

    def _counts(self, entry: Any) -> bool:
        return self.labels is None or entry["entity_group"] in self.labels


def _check_labels(labels: Sequence[str] | None, available: Sequence[str]) -> frozenset[str] | None:
    odd = [label for label in labels or () if label not in available]
    if odd:
        raise DataError(
            f"the model has no label {odd[0]!r}{did_you_mean(odd[0], available)}; it has "
            f"{some(available, 20)}"
        )
    return None if labels is None else frozenset(labels)


class SpacyRecogniser:
    """A recogniser of entities by a spaCy pipeline."""

    def __init__(self, pipeline: Any, labels: Sequence[str] | None, batch_rows: int) -> None:
        self.pipeline = pipeline
        self.labels = _check_labels(labels, read_entity_labels(pipeline))
        self.batch_rows = batch_rows

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        read = self.pipeline.pipe(texts, batch_size=self.batch_rows)
        return [
            [e.text for e in document.ents if self.labels is None or e.label_ in self.labels]
            for document in read
        ]


@dataclass(frozen=True, kw_only=True)
class TokenClassifierOpener:
    """An opener of a model of transformers, from its folder or the hub, once per process."""

    path: Path | None
    name: str | None
    revision: str | None
    labels: Sequence[str] | None
    dtype: str
    device: str
    batch_rows: int

    def __call__(self) -> TokenClassifier:
        folder = self.path or fetched(str(self.name), self.revision, FILES)
        model, tokenizer = read_model(
            folder, "AutoModelForTokenClassification", self.dtype, self.device
        )
        return TokenClassifier(model, tokenizer, self.labels, self.device, self.batch_rows)


@dataclass(frozen=True)
class SpacyOpener:
    """An opener of a spaCy pipeline, an installed one or that of a folder, once per process."""

    name: str | None
    path: Path | None
    labels: Sequence[str] | None
    batch_rows: int

    def __call__(self) -> SpacyRecogniser:
        name = self.name
        pipeline = (
            open_installed_pipeline(name) if name else open_pipeline_folder(Path(str(self.path)))
        )
        return SpacyRecogniser(pipeline, self.labels, self.batch_rows)
